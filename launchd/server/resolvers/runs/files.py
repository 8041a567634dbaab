"""Files of runs: links to upload them, and the list of those that have arrived."""

import mimetypes
import posixpath
import re
from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.files.signed_urls import RUN_DOWNLOAD, RUN_UPLOAD
from launchd.server.models import Run, RunFile
from launchd.server.resolvers.pagination import connection_of, size_of, start_of
from launchd.server.store.ids import names_id, storage_id
from launchd.server.store.runs import files as run_files
from launchd.server.store.runs import runs

mutation = MutationType()
run = ObjectType("Run")
bindables = [mutation, run]

_MOST_FILES = 1000


@mutation.field("createRunFiles")
async def create_files(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> tuple[Run, list[RunFile]]:
        found = runs.require_run(
            connection, context.viewer, input["entity_name"], input["project_name"], input["run_name"]
        )
        return found, run_files.announce(connection, found.id, input["files"])

    found, rows = await context.write(work)
    uploads = [{"name": row.name, "upload_url": info.context.link(RUN_UPLOAD, row.id)} for row in rows]
    run_id = names_id("Run", found.name, found.project_name, found.entity_name)
    return {"run_id": run_id, "upload_headers": [], "files": uploads}


@run.field("fileCount")
async def resolve_file_count(found: Run, info: Info) -> int:
    return await info.context.read(run_files.count, found.id)


@run.field("files")
async def resolve_files(
    found: Run,
    info: Info,
    names: list[str | None] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> dict[str, Any]:
    """One row more than asked for is read, to know whether there is a next page."""
    size = size_of(first, most=_MOST_FILES)
    if names is not None and len(names) > run_files.MOST_AT_ONCE:
        raise Refused(f"At most {run_files.MOST_AT_ONCE} files can be asked for by name at once.")
    # A path as the user wrote it; `wandb verify` asks for "./name".
    plain = None if names is None else [posixpath.normpath(name) for name in names if name is not None]
    like = like_of(pattern) if pattern else None
    rows = await info.context.read(run_files.page, found.id, start_of(after, 0), size + 1, plain, like)
    return connection_of(rows, size, lambda row: _file_node(info, row), lambda row: row.id)


def _file_node(info: Info, row: RunFile) -> dict[str, Any]:
    """A `File`, without a link to upload it, which `createRunFiles` alone gives.

    Its links are permissions, so it is made only for viewers who may use the run.
    """
    direct_url = info.context.link(RUN_DOWNLOAD, row.id)
    return {
        "id": storage_id("RunFile", row.id),
        "name": row.name,
        "display_name": row.name,
        "md5": row.md5,
        "digest": row.md5,
        "mimetype": mimetypes.guess_type(row.name)[0] or "application/octet-stream",
        "size_bytes": row.size,
        "updated_at": row.updated_at,
        "direct_url": direct_url,
        "upload_url": None,
        "upload_headers": [],
        "url": lambda info, upload=False: None if upload else direct_url,
    }


def like_of(pattern: str) -> str:
    """SQL's LIKE pattern for one in which `*`, `?` or `%` are wildcards."""
    literal = re.sub(r"([\\_])", r"\\\1", pattern)
    return literal.replace("*", "%").replace("?", "_")
