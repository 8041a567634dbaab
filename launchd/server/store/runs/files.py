"""Files of runs: announced, then arrived. Rows only; the blobs are in `files.blob_store`."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import Refused
from launchd.server.models import LinkHolder, RunFile, Viewer
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.accounts.link_holders import holder_binds, holder_may
from launchd.server.store.artifacts.files import check_path
from launchd.server.store.runs.exports import PREFIX
from launchd.server.store.tables import projects, run_files, runs

MOST_AT_ONCE = 10_000

file = run_files.c
_OF_RUN = select(run_files).where(file.run_id == bindparam("of_run"))
_NAMED = _OF_RUN.where(file.name.in_(bindparam("names", expanding=True)))
_LINKED = (
    select(run_files)
    .join(runs, runs.c.id == file.run_id)
    .join(projects, projects.c.id == runs.c.project_id)
    .where(file.id == bindparam("of_id"), holder_may(projects.c.entity_id))
)
_ARRIVED = update(run_files).where(file.id == bindparam("of_id"))
_IS_SHOWN = ~file.name.startswith(PREFIX, autoescape=True)
_COUNT = select(func.count()).where(file.run_id == bindparam("of_run"), file.content.is_not(None), _IS_SHOWN)


def announce(connection: Connection, run_id: int, names: Sequence[str]) -> list[RunFile]:
    """Rows of files to be uploaded, in the order of `names`; an existing file keeps its content until then.

    Raises:
        Refused: too many, or a name that leaves the run's directory.
    """
    if len(names) > MOST_AT_ONCE:
        raise Refused(f"{len(names)} files at once are too many; at most {MOST_AT_ONCE} are taken.")
    for name in names:
        check_path(name)
    known = _named(connection, run_id, names)
    new = [{"run_id": run_id, "name": name} for name in dict.fromkeys(names) if name not in known]
    if new:
        connection.execute(insert(run_files), new)
        known = _named(connection, run_id, names)
    return [known[name] for name in names]


def _named(connection: Connection, run_id: int, names: Sequence[str]) -> Mapping[str, RunFile]:
    rows = connection.execute(_NAMED, {"of_run": run_id, "names": list(names)})
    return {row.name: RunFile(**row._mapping) for row in rows}


def linked_file(connection: Connection, holder: LinkHolder, file_id: int) -> RunFile | None:
    """The file of a link, if who got the link may still use it so."""
    row = connection.execute(_LINKED, {"of_id": file_id, **holder_binds(holder)}).first()
    return RunFile(**row._mapping) if row else None


def arrived(connection: Connection, file_id: int, content: str, md5: str, size: int) -> bool:
    """Record that a file is stored. False: its run was deleted meanwhile."""
    values = {"content": content, "md5": md5, "size": size, "updated_at": time.time()}
    return connection.execute(_ARRIVED, {"of_id": file_id, **values}).rowcount > 0


def page(
    connection: Connection, run_id: int, after: int, limit: int, names: Sequence[str] | None, like: str | None
) -> list[RunFile]:
    """Files that have arrived, in the order of announcement, after the file with the id `after`.

    `names`: only these; `like`: only names that match this pattern of SQL's LIKE, with backslash escapes.
    """
    wanted = _OF_RUN.where(file.id > after, file.content.is_not(None), _IS_SHOWN).order_by(file.id).limit(limit)
    if names:
        wanted = wanted.where(file.name.in_(names))
    if like:
        wanted = wanted.where(file.name.like(like, escape="\\"))
    return [RunFile(**row._mapping) for row in connection.execute(wanted, {"of_run": run_id})]


def count(connection: Connection, run_id: int) -> int:
    """How many files of a run have arrived."""
    return connection.execute(_COUNT, {"of_run": run_id}).scalar_one()


def remove(connection: Connection, viewer: Viewer, file_ids: Sequence[int]) -> int:
    """Delete the files that the viewer may use. Returns how many."""
    usable = may_use_project(projects.c.entity_id, projects.c.id)
    mine = select(runs.c.id).join(projects, projects.c.id == runs.c.project_id).where(usable)
    gone = delete(run_files).where(file.id.in_(bindparam("ids", expanding=True)), file.run_id.in_(mine))
    which: dict[str, Any] = {"ids": list(file_ids), **binds(viewer)}
    return connection.execute(gone, which).rowcount


def known_blobs(connection: Connection, contents: Sequence[str]) -> set[str]:
    """Which of these digests some file refers to."""
    return set(connection.execute(select(file.content).where(file.content.in_(contents))).scalars())
