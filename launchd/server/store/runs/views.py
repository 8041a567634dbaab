"""Views of projects: saving, finding and deleting them. What they hold is not looked at."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import NotFound, Refused
from launchd.server.models import View, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.database import insert_row
from launchd.server.store.ids import parse_storage_id, row_number
from launchd.server.store.tables import projects, views

KIND = "View"
REPORT = "runs"
"""W&B's type of reports."""

_COLUMNS = ("type", "name", "display_name", "description", "spec", "created_using", "locked")
_LONGEST_NAME = 1024
_MOST = 10_000
"""Views of one project."""

row = views.c
_USABLE = (
    select(views)
    .join(projects, projects.c.id == row.project_id)
    .where(row.id == bindparam("of_id"), may_use_project(projects.c.entity_id, projects.c.id))
)
_COUNT = select(func.count()).where(row.project_id == bindparam("of_project"))


def find(connection: Connection, viewer: Viewer, view_id: str) -> View | None:
    """Return the view by the id that clients know, if the viewer may use its project."""
    number = row_number(parse_storage_id(view_id, KIND)[0])
    found = connection.execute(_USABLE, {"of_id": number or 0, **binds(viewer)}).first()
    return View(**found._mapping) if found else None


def require(connection: Connection, viewer: Viewer, view_id: str) -> View:
    """As `find`.

    Raises:
        NotFound: no such view that the viewer may use.
    """
    found = find(connection, viewer, view_id)
    if found is None:
        raise NotFound(f"There is no view with the id {view_id[:100]!r} that you may use.")
    return found


def page(
    connection: Connection, project_id: int, kind: str | None, name: str | None, before: int, limit: int
) -> Sequence[View]:
    """Return views of a project with ids below `before`, the newest first."""
    wanted = select(views).where(row.project_id == project_id, row.id < before).order_by(row.id.desc()).limit(limit)
    for column, value in ((row.type, kind), (row.name, name)):
        wanted = wanted if value is None else wanted.where(column == value)
    return [View(**found._mapping) for found in connection.execute(wanted)]


def save(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> tuple[View, bool]:
    """Save a view; returns it, and whether it is new.

    Raises:
        NotFound: no such view, or no such entity.
        Refused: a text is longer than any, or the project has more views than any.
    """
    values = {column: given[column] for column in _COLUMNS if given.get(column) is not None}
    _check(values)
    values["updated_at"] = time.time()
    if given.get("id"):
        found = require(connection, viewer, given["id"])
        connection.execute(update(views).where(row.id == found.id).values(**values))
        return _reread(connection, found.id), False
    number = insert_row(connection, insert(views), _new(connection, viewer, given) | values)
    return _reread(connection, number), True


def _check(values: Mapping[str, Any]) -> None:
    for key in ("type", "name", "display_name", "created_using"):
        if len(values.get(key) or "") > _LONGEST_NAME:
            raise Refused(f"The {key.replace('_', ' ')} of a view has at most {_LONGEST_NAME} characters.")


def _new(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> dict[str, Any]:
    project_name = given.get("project_name") or principals.UNCATEGORIZED
    entity = principals.require_entity(connection, viewer, given.get("entity_name"), project=project_name)
    project, _ = principals.ensure_project(connection, entity, project_name)
    if connection.execute(_COUNT, {"of_project": project.id}).scalar_one() >= _MOST:
        raise Refused(f"Project {project.name!r} has {_MOST} views already; delete some.")
    made = {"project_id": project.id, "author_id": viewer.author_id, "created_at": time.time()}
    return made | {"type": REPORT, "locked": False}


def _reread(connection: Connection, number: int) -> View:
    return View(**connection.execute(select(views).where(row.id == number)).one()._mapping)


def remove(connection: Connection, viewer: Viewer, view_id: str) -> None:
    """Delete a view; nothing happens where it was deleted before.

    Raises:
        NotFound: it is one that the viewer may not use.
    """
    number = row_number(parse_storage_id(view_id, KIND)[0]) or 0
    if connection.execute(select(row.id).where(row.id == number)).first() is None:
        return
    connection.execute(delete(views).where(row.id == require(connection, viewer, view_id).id))
