"""The entities and projects that a viewer may use: finding them, and creating projects."""

import time
from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection, Select, String, bindparam, insert, select

from launchd.server.errors import NotAllowed, NotFound, Refused
from launchd.server.models import EntityRecord, ProjectRecord, Role, Scope, Viewer
from launchd.server.store.accounts.authorization import binds, may_log, may_serve, may_use
from launchd.server.store.database import insert_row
from launchd.server.store.tables import entities, memberships, projects

UNCATEGORIZED = "uncategorized"
"""W&B's name for the project of a run that names none."""

_LONGEST_NAME = 128

ENTITY_COLUMNS = (entities.c.id, entities.c.name, entities.c.is_team)
"""Columns of an `EntityRecord`."""

_ENTITY_NAMED = select(*ENTITY_COLUMNS).where(entities.c.name == bindparam("of_name"), entities.c.deleted_at.is_(None))
_ENTITY = _ENTITY_NAMED.where(may_use(entities.c.id))
_SERVED = _ENTITY_NAMED.where(may_serve(entities.c.id))
_LOGGED_TO = _ENTITY_NAMED.where(
    may_log(entities.c.id, bindparam("of_project", type_=String), bindparam("of_run", type_=String))
)
_TOO_NARROW = {
    Scope.AGENT: "This API key is an agent's: it serves queues and logs the agent's own run, and changes nothing else.",
    Scope.JOB: "This API key is a job's: it changes things in the project of the job's run alone, until the job ends.",
}
_PROJECTS = select(
    projects.c.id,
    projects.c.entity_id,
    entities.c.name.label("entity_name"),
    projects.c.name,
    projects.c.description,
    projects.c.access,
    projects.c.created_at,
).join(entities)
_PROJECT = _PROJECTS.where(
    projects.c.entity_id == bindparam("of_entity"), projects.c.folded_name == bindparam("of_name")
)
_PROJECT_BY_ID = _PROJECTS.where(projects.c.id == bindparam("of_id"))
_PAGE = (
    _PROJECTS.where(projects.c.entity_id == bindparam("of_entity"), projects.c.id > bindparam("after"))
    .order_by(projects.c.id)
    .limit(bindparam("most"))
)


def entities_of(connection: Connection, user_id: int) -> list[EntityRecord]:
    """Entities in which a user is a member, their own included."""
    wanted = select(*ENTITY_COLUMNS).join(memberships).where(memberships.c.user_id == user_id).order_by(entities.c.name)
    return [EntityRecord(**row._mapping) for row in connection.execute(wanted)]


def find_entity(
    connection: Connection, viewer: Viewer, name: str | None, *, project: str | None = None, run: str | None = None
) -> EntityRecord | None:
    """The entity, if it exists and the viewer may use it. None means the viewer's own.

    With a `project`: if the viewer may use that project of it (and that run), as the key of a job or an agent may.
    """
    if project is None:
        return _find(connection, _ENTITY, viewer, name)
    return _find(connection, _LOGGED_TO, viewer, name, of_project=project.lower(), of_run=run or "")


def _find(
    connection: Connection, wanted: Select[*tuple[Any, ...]], viewer: Viewer, name: str | None, **more: str
) -> EntityRecord | None:
    row = connection.execute(wanted, {"of_name": name or viewer.entity, **more, **binds(viewer)}).first()
    return EntityRecord(**row._mapping) if row else None


def entity_named(connection: Connection, name: str) -> EntityRecord | None:
    """The entity with this name, without a check of rights: for administrators, and for names from the store's rows."""
    row = connection.execute(_ENTITY_NAMED, {"of_name": name}).first()
    return EntityRecord(**row._mapping) if row else None


def require_entity(
    connection: Connection, viewer: Viewer, name: str | None, *, project: str | None = None, run: str | None = None
) -> EntityRecord:
    """As `find_entity`.

    Raises:
        NotFound: no such entity, or the viewer is not a member of it.
        NotAllowed: the viewer's role in it is too low, or the key is for something else.
    """
    found = find_entity(connection, viewer, name, project=project, run=run)
    return found or _refuse(connection, viewer, name)


def require_served(connection: Connection, viewer: Viewer, name: str | None) -> EntityRecord:
    """The entity, if the viewer may serve its queues.

    Raises:
        NotFound, NotAllowed: as `require_entity`.
    """
    return _find(connection, _SERVED, viewer, name) or _refuse(connection, viewer, name)


def _refuse(connection: Connection, viewer: Viewer, name: str | None) -> NoReturn:
    if find_entity(connection, viewer.looking(), name) is not None:
        if viewer.scope in _TOO_NARROW:
            raise NotAllowed(_TOO_NARROW[viewer.scope])
        needed = Role(viewer.least_role).name.lower()
        raise NotAllowed(f"Your role in entity {name or viewer.entity!r} is too low for this: it takes a {needed}.")
    raise NotFound(f"There is no entity {name!r} here that you may use; your own is {viewer.entity!r}.")


def find_project(connection: Connection, entity: EntityRecord, name: str) -> ProjectRecord | None:
    """The project by its name. Case is ignored, because W&B's agent lower-cases what the submitter wrote."""
    row = connection.execute(_PROJECT, {"of_entity": entity.id, "of_name": name.lower()}).first()
    return ProjectRecord(**row._mapping) if row else None


def project_of(connection: Connection, viewer: Viewer, entity_name: str | None, name: str) -> ProjectRecord | None:
    """The project by its names, if the viewer may use its entity."""
    entity = find_entity(connection, viewer, entity_name, project=name)
    return find_project(connection, entity, name) if entity else None


def project_by_id(connection: Connection, project_id: int) -> ProjectRecord:
    """The project, which must exist."""
    return ProjectRecord(**connection.execute(_PROJECT_BY_ID, {"of_id": project_id}).one()._mapping)


def page_of_projects(connection: Connection, entity: EntityRecord, after: int, limit: int) -> Sequence[ProjectRecord]:
    """Projects whose number is above `after`, the oldest first."""
    which = {"of_entity": entity.id, "after": after, "most": limit}
    return [ProjectRecord(**row._mapping) for row in connection.execute(_PAGE, which)]


def ensure_project(
    connection: Connection, entity: EntityRecord, name: str, description: str | None = None, access: str | None = None
) -> tuple[ProjectRecord, bool]:
    """The project, created if missing; and whether it was created."""
    found = find_project(connection, entity, name)
    if found is not None:
        return found, False
    check_name("project", name)
    row: dict[str, Any] = {
        "entity_id": entity.id,
        "name": name,
        "folded_name": name.lower(),
        "description": description,
        "access": access,
        "created_at": time.time(),
    }
    return project_by_id(connection, insert_row(connection, insert(projects), row)), True


def check_name(kind: str, name: str, *, longest: int = _LONGEST_NAME, is_argument: bool = False) -> None:
    """Check a new name. `is_argument`: people type it as an argument of commands.

    Raises:
        Refused: empty, too long, or with characters that paths and URLs should not hold, or that make it no argument.
    """
    is_short = 0 < len(name) <= longest
    is_plain = name.isprintable() and not any(sign in name for sign in "/\\#?%:")
    is_typed = not is_argument or (name == name.strip() and not name.startswith("-"))
    if not (is_short and is_plain and is_typed):
        typed = ", no space at either end, no - at the beginning" if is_argument else ""
        rule = f"1 to {longest} printable characters, none of / \\ # ? % :{typed}"
        raise Refused(f"{name[:80]!r} is no name for a {kind}: {rule}")
