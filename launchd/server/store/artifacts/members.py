"""Memberships of versions in collections: those they were logged to, and portfolios they are linked to. Reads only.

A link shares nothing: viewers who may not use the entity of a version do not see it in portfolios either.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, bindparam, func, select, union_all

from launchd.server.models import Artifact, ArtifactMembership, Collection, Viewer
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.artifacts import collections
from launchd.server.store.artifacts.artifacts import COMMITTED, SELECTED, from_row
from launchd.server.store.tables import artifact_aliases, artifact_links, artifacts, projects

LATEST = "latest"
"""The alias implied by a name without one."""

_VERSION = re.compile(r"v(\d{1,9})", re.ASCII)

row, link = artifacts.c, artifact_links.c
member = (
    union_all(
        select(row.collection_id, row.number, row.version_index, row.created_at).where(row.state == COMMITTED),
        select(link.collection_id, link.artifact_number, link.version_index, link.linked_at),
    )
    .subquery("members")
    .c
)
_OF_COLLECTION = (
    SELECTED.add_columns(member.version_index.label("member_index"), member.created_at.label("member_since"))
    .join(member.number.table, member.number == row.number)
    .where(member.collection_id == bindparam("of_collection"), may_use_project(projects.c.entity_id, projects.c.id))
)
_LATEST = _OF_COLLECTION.order_by(member.version_index.desc()).limit(1)
_BY_VERSION = _OF_COLLECTION.where(member.version_index == bindparam("of_version"))
_BY_ALIAS = _OF_COLLECTION.join(artifact_aliases, artifact_aliases.c.artifact_number == row.number).where(
    artifact_aliases.c.collection_id == member.collection_id, artifact_aliases.c.alias == bindparam("of_alias")
)
_NEWEST = (
    select(member.number)
    .where(member.collection_id == bindparam("of_collection"))
    .order_by(member.version_index.desc())
    .limit(1)
)
_LINKS = (
    collections.SELECTED.add_columns(link.version_index, link.linked_at)
    .join(artifact_links, link.collection_id == collections.column.id)
    .where(link.artifact_number == bindparam("of_number"), may_use_project(projects.c.entity_id, projects.c.id))
    .order_by(link.id)
)


def _membership(collection: Collection, found: Row[*tuple[Any, ...]]) -> ArtifactMembership:
    return ArtifactMembership(
        collection=collection,
        artifact=from_row(found),
        version_index=found.member_index,
        created_at=found.member_since,
    )


def _one(
    connection: Connection, viewer: Viewer, collection: Collection, statement: Any, **values: object
) -> ArtifactMembership | None:
    which: Mapping[str, object] = {"of_collection": collection.id, **binds(viewer), **values}
    found = connection.execute(statement, which).first()
    return _membership(collection, found) if found else None


def latest_of(connection: Connection, viewer: Viewer, collection: Collection) -> ArtifactMembership | None:
    """The newest member."""
    return _one(connection, viewer, collection, _LATEST)


def newest_in(connection: Connection, collection_id: int) -> int | None:
    """Number of the newest member's row, without a check of rights."""
    return connection.execute(_NEWEST, {"of_collection": collection_id}).scalar()


def by_alias(connection: Connection, viewer: Viewer, collection: Collection, alias: str) -> ArtifactMembership | None:
    """The member with this alias: one that was given to it, or `v<N>`, its number."""
    found = _one(connection, viewer, collection, _BY_ALIAS, of_alias=alias)
    version = _VERSION.fullmatch(alias)
    if found is None and version is not None:
        return _one(connection, viewer, collection, _BY_VERSION, of_version=int(version[1]))
    return found


def by_name(
    connection: Connection, viewer: Viewer, project_id: int, name: str, type_name: str | None = None
) -> ArtifactMembership | None:
    """The member that `collection:alias` names in a project; without an alias, the latest."""
    collection_name, _, alias = name.partition(":")
    found = collections.collection_by_name(connection, project_id, collection_name)
    if found is None or type_name not in (None, found.type):
        return None
    return by_alias(connection, viewer, found, alias or LATEST)


def is_version(alias: str) -> bool:
    """Whether the alias has the form of a version's number."""
    return _VERSION.fullmatch(alias) is not None


def links_of(connection: Connection, viewer: Viewer, artifact: Artifact) -> list[ArtifactMembership]:
    """The version's memberships in portfolios that the viewer may use, the oldest link first."""
    return [
        ArtifactMembership(
            collection=collections.from_row(found),
            artifact=artifact,
            version_index=found.version_index,
            created_at=found.linked_at,
        )
        for found in connection.execute(_LINKS, {"of_number": artifact.number, **binds(viewer)})
    ]


def memberships_of(connection: Connection, viewer: Viewer, artifact: Artifact) -> list[ArtifactMembership]:
    """As `links_of`, after the membership in the collection that the version was logged to."""
    return [artifact.membership, *links_of(connection, viewer, artifact)]


def page(
    connection: Connection,
    viewer: Viewer,
    collection: Collection,
    beyond: int | None,
    limit: int,
    *,
    oldest_first: bool,
    tags: Sequence[str],
) -> list[ArtifactMembership]:
    """Members after the one with the index `beyond` (None: from the first); only those with all `tags`."""
    index = member.version_index
    wanted = _OF_COLLECTION.order_by(index.asc() if oldest_first else index.desc())
    if beyond is not None:
        wanted = wanted.where(index > beyond if oldest_first else index < beyond)
    for tag in tags:
        wanted = wanted.where(row.tags.contains(msgspec.json.encode(tag).decode(), autoescape=True))
    rows = connection.execute(wanted.limit(limit), {"of_collection": collection.id, **binds(viewer)})
    return [_membership(collection, found) for found in rows]


def count(connection: Connection, viewer: Viewer, collection: Collection) -> int:
    """How many members a collection has."""
    wanted = select(func.count()).select_from(_OF_COLLECTION.subquery())
    return connection.execute(wanted, {"of_collection": collection.id, **binds(viewer)}).scalar_one()
