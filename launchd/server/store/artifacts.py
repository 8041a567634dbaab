"""Versions of artifacts: finding them by id, by name and alias, and page by page. Reads only."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select

from launchd.server.errors import NotFound, Refused
from launchd.server.records import Artifact, Collection, Viewer
from launchd.server.store.access import binds, may_use
from launchd.server.store.artifact_collections import collection_by_name
from launchd.server.store.ids import parse_storage_id, row_number
from launchd.server.store.tables import artifact_aliases, artifact_collections, artifacts, projects

PENDING, COMMITTED, DELETED = "PENDING", "COMMITTED", "DELETED"
LATEST = "latest"
"""The alias that a name without one stands for."""

_VERSION = re.compile(r"v(\d{1,9})", re.ASCII)

row = artifacts.c
_VERSION_FIELDS = tuple(name for name in Artifact.__struct_fields__ if name != "collection")
_COLLECTION_FIELDS = tuple(name for name in Collection.__struct_fields__ if name not in ("entity_id", "deleted"))
SELECTED = (
    select(
        *(row[name] for name in _VERSION_FIELDS),
        *(artifact_collections.c[name].label(f"collection_{name}") for name in _COLLECTION_FIELDS),
        projects.c.entity_id.label("collection_entity_id"),
    )
    .join(artifact_collections, artifact_collections.c.id == row.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
)
"""What makes an `Artifact`; see `from_row`."""

_BY_NUMBER = SELECTED.where(row.number == bindparam("of_number"), may_use(projects.c.entity_id))
_BY_CLIENT = SELECTED.where(row.client_id == bindparam("of_client"), may_use(projects.c.entity_id))
_COMMITTED = SELECTED.where(row.collection_id == bindparam("of_collection"), row.state == COMMITTED)
_LATEST = _COMMITTED.order_by(row.version_index.desc()).limit(1)
_BY_VERSION = _COMMITTED.where(row.version_index == bindparam("of_version"))
_BY_ALIAS = _COMMITTED.join(artifact_aliases, artifact_aliases.c.artifact_number == row.number).where(
    artifact_aliases.c.collection_id == row.collection_id, artifact_aliases.c.alias == bindparam("of_alias")
)
_ALIASES = (
    select(artifact_aliases.c.id, artifact_aliases.c.alias)
    .where(artifact_aliases.c.artifact_number == bindparam("of_number"))
    .order_by(artifact_aliases.c.id)
)
_ALIASES_IN = (
    select(artifact_aliases.c.id, artifact_aliases.c.alias)
    .where(artifact_aliases.c.collection_id == bindparam("of_collection"), artifact_aliases.c.id > bindparam("after"))
    .order_by(artifact_aliases.c.id)
    .limit(bindparam("most"))
)
_COUNT = select(func.count()).where(row.collection_id == bindparam("of_collection"), row.state == bindparam("of_state"))


def from_row(found: Row[*tuple[Any, ...]]) -> Artifact:
    """The value of a row of `SELECTED`."""
    fields = dict(found._mapping)
    collection = {name: fields[f"collection_{name}"] for name in (*_COLLECTION_FIELDS, "entity_id")}
    collection["tags"] = msgspec.json.decode(collection["tags"])
    version = {name: fields[name] for name in _VERSION_FIELDS} | {"tags": msgspec.json.decode(fields["tags"])}
    return Artifact(collection=Collection(**collection), **version)


def one(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Artifact | None:
    """The first artifact of a statement made from `SELECTED`."""
    found = connection.execute(statement, values).first()
    return from_row(found) if found else None


def find_artifact(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact | None:
    """The artifact by the id that clients know, if the viewer may use it."""
    number = row_number(parse_storage_id(artifact_id, "Artifact")[0])
    return None if number is None else one(connection, _BY_NUMBER, {"of_number": number, **binds(viewer)})


def require_artifact(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact:
    """As `find_artifact`.

    Raises:
        NotFound: no such artifact that the viewer may use.
    """
    artifact = find_artifact(connection, viewer, artifact_id)
    if artifact is None:
        raise NotFound(f"There is no artifact with the id {artifact_id[:100]!r} that you may use.")
    return artifact


def require_pending(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact:
    """As `require_artifact`, for one that may still change.

    Raises:
        Refused: it is committed, or deleted.
    """
    artifact = require_artifact(connection, viewer, artifact_id)
    if artifact.state != PENDING:
        raise Refused(f"Artifact {artifact.title!r} is {artifact.state}; its files cannot be changed any more.")
    return artifact


def by_client_id(connection: Connection, viewer: Viewer, client_id: str) -> Artifact | None:
    """The artifact by the id that its client drew for it, before the server gave it one."""
    return one(connection, _BY_CLIENT.order_by(row.number).limit(1), {"of_client": client_id, **binds(viewer)})


def latest_of(connection: Connection, collection_id: int) -> Artifact | None:
    """The newest committed version."""
    return one(connection, _LATEST, {"of_collection": collection_id})


def by_alias(connection: Connection, collection_id: int, alias: str) -> Artifact | None:
    """The committed version that an alias stands for: a word that somebody gave it, or `v<N>`, its number."""
    found = one(connection, _BY_ALIAS, {"of_collection": collection_id, "of_alias": alias})
    version = _VERSION.fullmatch(alias)
    if found is None and version is not None:
        return one(connection, _BY_VERSION, {"of_collection": collection_id, "of_version": int(version[1])})
    return found


def by_name(connection: Connection, project_id: int, name: str, type_name: str | None = None) -> Artifact | None:
    """The version that `collection:alias` names in a project; without an alias, the latest."""
    collection_name, _, alias = name.partition(":")
    found = collection_by_name(connection, project_id, collection_name)
    if found is None or type_name not in (None, found.type):
        return None
    return by_alias(connection, found.id, alias or LATEST)


def is_version(alias: str) -> bool:
    """Whether the word is of the form that stands for a version's number."""
    return _VERSION.fullmatch(alias) is not None


def aliases_of(connection: Connection, number: int) -> list[tuple[int, str]]:
    """Id and word of each alias that a version was given."""
    return [(found.id, found.alias) for found in connection.execute(_ALIASES, {"of_number": number})]


def aliases_in(connection: Connection, collection_id: int, after: int, limit: int) -> list[tuple[int, str]]:
    """Id and word of each alias in a collection, from behind the one with the id `after`."""
    which = {"of_collection": collection_id, "after": after, "most": limit}
    return [(found.id, found.alias) for found in connection.execute(_ALIASES_IN, which)]


def page_of_versions(
    connection: Connection,
    collection_id: int,
    beyond: int | None,
    limit: int,
    *,
    oldest_first: bool,
    tags: Sequence[str],
) -> list[Artifact]:
    """Committed versions beyond the one with the index `beyond` (None: from the first); only those with all `tags`."""
    order = row.version_index.asc() if oldest_first else row.version_index.desc()
    page = _COMMITTED.order_by(order)
    if beyond is not None:
        page = page.where(row.version_index > beyond if oldest_first else row.version_index < beyond)
    for tag in tags:
        page = page.where(row.tags.contains(msgspec.json.encode(tag).decode(), autoescape=True))
    rows = connection.execute(page.limit(limit), {"of_collection": collection_id})
    return [from_row(found) for found in rows]


def count_versions(connection: Connection, collection_id: int) -> int:
    """How many committed versions a collection has."""
    return connection.execute(_COUNT, {"of_collection": collection_id, "of_state": COMMITTED}).scalar_one()
