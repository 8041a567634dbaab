"""Collections of artifacts, portfolios included, and artifact types."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, exists, func, insert, or_, select, update

from launchd.server.errors import NotFound, Refused
from launchd.server.models import ArtifactTypeRecord, Collection, EntityRecord, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.database import insert_row
from launchd.server.store.ids import parse_storage_id, row_number
from launchd.server.store.tables import artifact_collections, artifacts, projects

KIND = "ArtifactCollection"
"""First part of the ids that clients know."""

_MOST_TAGS = 100

column = artifact_collections.c
COLLECTION_FIELDS = tuple(name for name in Collection.__struct_fields__ if name not in ("entity_id", "deleted"))
"""Columns of a `Collection` besides its project's entity."""
SELECTED = select(*(column[name] for name in COLLECTION_FIELDS), projects.c.entity_id).join(
    projects, projects.c.id == column.project_id
)
"""The columns of a `Collection`; see `from_row`."""
_BY_ID = SELECTED.where(column.id == bindparam("of_id"), may_use_project(projects.c.entity_id, projects.c.id))
_BY_NAME = SELECTED.where(column.project_id == bindparam("of_project"), column.name == bindparam("of_name"))
# A collection without a version is not listed: clients expect a version in each.
_IS_LISTED = or_(
    column.is_portfolio,
    exists().where(artifacts.c.collection_id == column.id, artifacts.c.version_index.is_not(None)),
)
_PAGE = (
    SELECTED.where(column.project_id == bindparam("of_project"), column.id < bindparam("before"), _IS_LISTED)
    .order_by(column.id.desc())
    .limit(bindparam("most"))
)
_UPDATE = update(artifact_collections).where(column.id == bindparam("of_id"))
_TYPES = (
    select(column.project_id, column.type.label("name"), func.min(column.created_at).label("created_at"))
    .where(column.project_id == bindparam("of_project"))
    .group_by(column.project_id, column.type)
    .order_by(column.type)
)


def from_row(row: Row[*tuple[Any, ...]]) -> Collection:
    """The record of a row of `SELECTED`."""
    fields = {name: row._mapping[name] for name in (*COLLECTION_FIELDS, "entity_id")}
    return Collection(**{**fields, "tags": msgspec.json.decode(fields["tags"])})


def _one(row: Row[*tuple[Any, ...]] | None) -> Collection | None:
    return from_row(row) if row else None


def collection_by_name(connection: Connection, project_id: int, name: str) -> Collection | None:
    """The collection with this name; the viewer must be allowed to use the project."""
    return _one(connection.execute(_BY_NAME, {"of_project": project_id, "of_name": name}).first())


def find_collection(connection: Connection, viewer: Viewer, collection_id: str) -> Collection | None:
    """The collection by the id that clients know, if the viewer may use it."""
    number = row_number(parse_storage_id(collection_id, KIND)[0])
    if number is None:
        return None
    return _one(connection.execute(_BY_ID, {"of_id": number, **binds(viewer)}).first())


def require_collection(connection: Connection, viewer: Viewer, collection_id: str) -> Collection:
    """As `find_collection`.

    Raises:
        NotFound: no such collection that the viewer may use.
    """
    found = find_collection(connection, viewer, collection_id)
    if found is None:
        raise NotFound(f"There is no artifact collection with the id {collection_id[:100]!r} that you may use.")
    return found


def is_gone(connection: Connection, collection_id: str) -> bool:
    """Return whether there is no collection with this id, or none any more."""
    number = row_number(parse_storage_id(collection_id, KIND)[0])
    wanted = select(artifact_collections.c.id).where(artifact_collections.c.id == (number or 0))
    return connection.execute(wanted).first() is None


def require_kind(connection: Connection, viewer: Viewer, collection_id: str, *, is_portfolio: bool) -> Collection:
    """As `require_collection`, of the given kind: a portfolio, or a collection that versions are logged to.

    Raises:
        NotFound: no such collection that the viewer may use.
        Refused: it is of the other kind.
    """
    found = require_collection(connection, viewer, collection_id)
    _check_kind(found, is_portfolio=is_portfolio)
    return found


def require_by_names(
    connection: Connection, viewer: Viewer, entity_name: str, project_name: str, name: str
) -> Collection:
    """The collection by its names.

    Raises:
        NotFound: no such collection that the viewer may use.
    """
    entity = principals.require_entity(connection, viewer, entity_name, project=project_name)
    project = principals.find_project(connection, entity, project_name)
    found = collection_by_name(connection, project.id, name) if project else None
    if found is None:
        raise NotFound(f"Project {project_name[:100]!r} of {entity.name!r} has no artifact {name[:100]!r}.")
    return found


def ensure_collection(
    connection: Connection,
    entity: EntityRecord,
    project_name: str,
    type_name: str,
    name: str,
    *,
    is_portfolio: bool = False,
) -> Collection:
    """The collection, created if missing together with its project.

    Raises:
        Refused: the name is invalid, or the collection is of another type or kind.
    """
    project, _ = principals.ensure_project(connection, entity, project_name)
    principals.check_name("artifact", name)
    principals.check_name("type of artifacts", type_name)
    found = collection_by_name(connection, project.id, name)
    if found is None:
        return _insert(connection, project.id, entity.id, type_name, name, is_portfolio=is_portfolio)
    _check_kind(found, is_portfolio=is_portfolio)
    check_type(found, type_name)
    return found


def check_type(found: Collection, type_name: str) -> None:
    """Check the type of a collection.

    Raises:
        Refused: it is of another type.
    """
    if found.type != type_name:
        raise Refused(f"Artifact {found.name!r} is of type {found.type!r}, not {type_name!r}.")


def _check_kind(found: Collection, *, is_portfolio: bool) -> None:
    if found.is_portfolio and not is_portfolio:
        raise Refused(f"{found.name!r} is a portfolio, to which versions are linked; none can be logged to it.")
    if is_portfolio and not found.is_portfolio:
        raise Refused(f"{found.name!r} is an artifact, to which versions are logged; none can be linked to it.")


def _insert(
    connection: Connection, project_id: int, entity_id: int, type_name: str, name: str, *, is_portfolio: bool
) -> Collection:
    now = time.time()
    made: dict[str, Any] = {"project_id": project_id, "type": type_name, "name": name, "is_portfolio": is_portfolio}
    made |= {"description": None, "created_at": now, "updated_at": now}
    number = insert_row(connection, insert(artifact_collections), made)
    return Collection(id=number, entity_id=entity_id, tags=[], **made)


def page_of_collections(
    connection: Connection, project_id: int, type_name: str | None, before: int, limit: int
) -> list[Collection]:
    """Portfolios and collections with versions, of one type if given: below the number `before`, newest first."""
    page = _PAGE if type_name is None else _PAGE.where(column.type == type_name)
    rows = connection.execute(page, {"of_project": project_id, "before": before, "most": limit})
    return [from_row(row) for row in rows]


def count_collections(connection: Connection, project_id: int, type_name: str | None) -> int:
    """How many collections `page_of_collections` lists in all."""
    wanted = select(func.count()).where(column.project_id == project_id, _IS_LISTED)
    return connection.execute(wanted if type_name is None else wanted.where(column.type == type_name)).scalar_one()


def types_of(connection: Connection, project_id: int) -> list[ArtifactTypeRecord]:
    """The types of the collections of a project, by name."""
    return [ArtifactTypeRecord(**row._mapping) for row in connection.execute(_TYPES, {"of_project": project_id})]


def edit(connection: Connection, found: Collection, changes: Mapping[str, Any]) -> Collection:
    """Change `name`, `description` or `type`.

    Raises:
        Refused: the new name is invalid, or taken by another collection of the project.
    """
    name, type_name = changes.get("name", found.name), changes.get("type", found.type)
    principals.check_name("artifact", name)
    principals.check_name("type of artifacts", type_name)
    if name != found.name and collection_by_name(connection, found.project_id, name) is not None:
        raise Refused(f"There is an artifact {name!r} in this project already.")
    return _change(connection, found, dict(changes))


def add_tags(connection: Connection, found: Collection, names: Sequence[str]) -> Collection:
    """Add tags to a collection."""
    return _change(connection, found, {"tags": with_tags(found.tags, names, ())})


def remove_tags(connection: Connection, found: Collection, names: Sequence[str]) -> Collection:
    """Remove tags; those it does not have are ignored."""
    return _change(connection, found, {"tags": with_tags(found.tags, (), names)})


def with_tags(now: Sequence[str], add: Iterable[str], remove: Iterable[str]) -> list[str]:
    """The tags after a change.

    Raises:
        Refused: one of those to be added is invalid, or there are too many.
    """
    added, removed = list(add), set(remove)
    for tag in added:
        principals.check_name("tag", tag)
    tags = [tag for tag in dict.fromkeys([*now, *added]) if tag not in removed]
    if len(tags) > _MOST_TAGS:
        raise Refused(f"{len(tags)} tags are too many; at most {_MOST_TAGS} are kept.")
    return tags


def _change(connection: Connection, found: Collection, changes: dict[str, Any]) -> Collection:
    now = time.time()
    values = {**changes, "updated_at": now}
    if "tags" in changes:
        values["tags"] = msgspec.json.encode(changes["tags"]).decode()
    connection.execute(_UPDATE, {"of_id": found.id, **values})
    return msgspec.structs.replace(found, **changes, updated_at=now)
