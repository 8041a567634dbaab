"""Users, entities, their API keys and projects. Owns their rows."""

import time
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from launchd.server.errors import NotFound, Refused
from launchd.server.store.access import binds, may_use
from launchd.server.store.database import insert_row
from launchd.server.store.records import EntityRecord, ProjectRecord, Viewer
from launchd.server.store.tables import api_keys, entities, memberships, projects, users

MODEL_REGISTRY = "model-registry"
"""The project that holds an entity's queues, by W&B's convention."""

_LONGEST_NAME = 128

_VIEWER_OF_KEY = (
    select(users.c.id.label("user_id"), users.c.name, users.c.email, users.c.admin, entities.c.name.label("entity"))
    .join(api_keys, api_keys.c.user_id == users.c.id)
    .join(entities, entities.c.id == users.c.default_entity_id)
    .where(api_keys.c.digest == bindparam("of_digest"))
)
_ENTITY = select(entities).where(entities.c.name == bindparam("of_name"), may_use(entities.c.id))
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


def create_user(connection: Connection, name: str, *, admin: bool) -> int:
    """A user with an entity of the same name and, in it, the project for queues. Returns the user's id."""
    check_name("user", name)
    entity = insert_row(connection, insert(entities), {"name": name, "is_team": False})
    row = {"name": name, "email": "", "admin": admin, "default_entity_id": entity}
    user = insert_row(connection, insert(users), row)
    connection.execute(insert(memberships), {"user_id": user, "entity_id": entity})
    ensure_project(connection, EntityRecord(id=entity, name=name, is_team=False), MODEL_REGISTRY)
    return user


def add_key(connection: Connection, user_id: int, digest: str, description: str) -> None:
    """Keep the digest of a key of this user."""
    row = {"user_id": user_id, "digest": digest, "description": description, "created_at": time.time()}
    connection.execute(insert(api_keys), row)


def first_admin(connection: Connection) -> int | None:
    """Id of the user that was made first."""
    return connection.execute(select(users.c.id).where(users.c.admin).order_by(users.c.id).limit(1)).scalar()


def keys_of(connection: Connection, viewer: Viewer) -> list[tuple[int, str]]:
    """Id and description of each key of the viewer."""
    wanted = select(api_keys.c.id, api_keys.c.description).where(api_keys.c.user_id == viewer.user_id)
    return [(row.id, row.description) for row in connection.execute(wanted)]


def viewer_of_key(connection: Connection, digest: str) -> Viewer | None:
    """Whose key has this digest."""
    row = connection.execute(_VIEWER_OF_KEY, {"of_digest": digest}).first()
    return Viewer(**row._mapping) if row else None


def teams_of(connection: Connection, viewer: Viewer) -> list[EntityRecord]:
    """Entities the viewer belongs to, their own included."""
    wanted = select(entities).join(memberships).where(memberships.c.user_id == viewer.user_id).order_by(entities.c.name)
    return [EntityRecord(**row._mapping) for row in connection.execute(wanted)]


def find_entity(connection: Connection, viewer: Viewer, name: str | None) -> EntityRecord | None:
    """The entity, if it exists and the viewer may use it. None stands for the viewer's own."""
    row = connection.execute(_ENTITY, {"of_name": name or viewer.entity, **binds(viewer)}).first()
    return EntityRecord(**row._mapping) if row else None


def require_entity(connection: Connection, viewer: Viewer, name: str | None) -> EntityRecord:
    """As `find_entity`.

    Raises:
        NotFound: no such entity, or it is not the viewer's to use.
    """
    entity = find_entity(connection, viewer, name)
    if entity is None:
        raise NotFound(f"There is no entity {name!r} here that you may use; your own is {viewer.entity!r}.")
    return entity


def find_project(connection: Connection, entity: EntityRecord, name: str) -> ProjectRecord | None:
    """Names are compared without regard to case: W&B's agent lower-cases what the submitter wrote."""
    row = connection.execute(_PROJECT, {"of_entity": entity.id, "of_name": name.lower()}).first()
    return ProjectRecord(**row._mapping) if row else None


def project_by_id(connection: Connection, project_id: int) -> ProjectRecord:
    """The project, which must exist."""
    return ProjectRecord(**connection.execute(_PROJECT_BY_ID, {"of_id": project_id}).one()._mapping)


def ensure_project(
    connection: Connection, entity: EntityRecord, name: str, description: str | None = None, access: str | None = None
) -> tuple[ProjectRecord, bool]:
    """The project, made if missing; and whether it was made."""
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


def check_name(kind: str, name: str) -> None:
    """Check a new name.

    Raises:
        Refused: empty, too long, or with characters that no path or URL should hold.
    """
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or any(sign in name for sign in "/\\#?%:"):
        rule = f"1 to {_LONGEST_NAME} printable characters, none of / \\ # ? % :"
        raise Refused(f"{name[:80]!r} is no name for a {kind}: {rule}")
