"""Versions of artifacts: finding them by id. `members` finds them by name and alias."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, select

from launchd.server.errors import NotFound, Refused
from launchd.server.models import Artifact, Collection, Viewer
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.artifacts.collections import COLLECTION_FIELDS
from launchd.server.store.ids import parse_storage_id, row_number
from launchd.server.store.tables import artifact_collections, artifacts, projects

PENDING, COMMITTED, DELETED = "PENDING", "COMMITTED", "DELETED"

row = artifacts.c
_VERSION_FIELDS = tuple(name for name in Artifact.__struct_fields__ if name != "collection")
SELECTED = (
    select(
        *(row[name] for name in _VERSION_FIELDS),
        *(artifact_collections.c[name].label(f"collection_{name}") for name in COLLECTION_FIELDS),
        projects.c.entity_id.label("collection_entity_id"),
    )
    .join(artifact_collections, artifact_collections.c.id == row.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
)
"""The columns of an `Artifact`; see `from_row`."""

_USABLE = SELECTED.where(may_use_project(projects.c.entity_id, projects.c.id))
_BY_NUMBER = _USABLE.where(row.number == bindparam("of_number"))
_BY_CLIENT = _USABLE.where(row.client_id == bindparam("of_client"))


def from_row(found: Row[*tuple[Any, ...]]) -> Artifact:
    """The record of a row of `SELECTED`."""
    fields = dict(found._mapping)
    collection = {name: fields[f"collection_{name}"] for name in (*COLLECTION_FIELDS, "entity_id")}
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
    """As `require_artifact`, for a pending one.

    Raises:
        Refused: it is committed, or deleted.
    """
    artifact = require_artifact(connection, viewer, artifact_id)
    if artifact.state != PENDING:
        raise Refused(f"Artifact {artifact.title!r} is {artifact.state}; its files cannot be changed any more.")
    return artifact


def by_client_id(connection: Connection, viewer: Viewer, client_id: str) -> Artifact | None:
    """The artifact by the id that its client generated before the server gave it one."""
    return one(connection, _BY_CLIENT.order_by(row.number).limit(1), {"of_client": client_id, **binds(viewer)})
