"""Collections of artifacts and their types, and the pages of versions in them."""

from typing import Any

import msgspec
from ariadne import InterfaceType, ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import Artifact, ArtifactMembership, ArtifactTypeRecord, Collection, ProjectRecord
from launchd.server.resolvers.artifacts.nodes import alias_node, tag_nodes
from launchd.server.resolvers.pagination import connection_of, page_of, single_page, size_of, start_of
from launchd.server.store.accounts import principals
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import artifacts, collections
from launchd.server.store.artifacts import members as artifact_members
from launchd.server.store.ids import HIGHEST_NUMBER, storage_id

query = QueryType()
project = ObjectType("Project")
artifact_type = ObjectType("ArtifactType")
collection = InterfaceType("ArtifactCollection")
sequence = ObjectType("ArtifactSequence")
bindables = [query, project, artifact_type, collection, sequence]

_PER_PAGE = 1000
_ORDERS = ("createdAt", "versionIndex", "created_at", "version_index")


class _Filters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Filters on the versions of a collection."""

    state: str = artifacts.COMMITTED
    tags: list[str] | str = []


_filters_decoder = msgspec.json.Decoder(_Filters)


@collection.type_resolver
def resolve_kind(found: Collection, *_: object) -> str:
    return "ArtifactPortfolio" if found.is_portfolio else "ArtifactSequence"


@sequence.field("digestAlgorithm")
def resolve_digest_algorithm(found: Collection, info: Info) -> str:
    """The one in which W&B's clients are to make the digests of its versions."""
    return "MANIFEST_MD5"


@query.field("artifactCollection")
async def resolve_by_id(_: object, info: Info, id: str) -> Collection | None:
    return await info.context.read(collections.find_collection, info.context.viewer, id)


@project.field("artifactCollection")
async def resolve_in_project(found: ProjectRecord, info: Info, name: str) -> Collection | None:
    return await info.context.read(collections.collection_by_name, found.id, name)


@project.field("artifactCollections")
async def resolve_all(
    found: ProjectRecord, info: Info, after: str | None = None, first: int | None = None, **ignored: object
) -> dict[str, Any]:
    return await _page(info, found.id, None, after, first)


@project.field("artifactType")
async def resolve_type(found: ProjectRecord, info: Info, name: str) -> ArtifactTypeRecord | None:
    types = await info.context.read(collections.types_of, found.id)
    return next((known for known in types if known.name == name), None)


@project.field("artifactTypes")
async def resolve_types(
    found: ProjectRecord,
    info: Info,
    after: str | None = None,
    first: int | None = None,
    include_all: bool | None = None,
) -> dict[str, Any]:
    """A type exists while a collection has it, so that `includeAll` adds none."""
    types = await info.context.read(collections.types_of, found.id)
    start, size = start_of(after, 0), size_of(first, _PER_PAGE)
    shown = list(enumerate(types, 1))[start : start + size]
    return page_of(shown, more=len(types) > start + size) | {"total_count": len(types)}


@artifact_type.field("id")
def resolve_type_id(found: ArtifactTypeRecord, info: Info) -> str:
    return storage_id("ArtifactType", found.project_id, found.name)


@artifact_type.field("artifact")
async def resolve_of_type(found: ArtifactTypeRecord, info: Info, name: str) -> Artifact | None:
    viewer = info.context.viewer
    member = await info.context.read(artifact_members.by_name, viewer, found.project_id, name, found.name)
    return member.artifact if member else None


@artifact_type.field("artifactSequence")
async def resolve_sequence(found: ArtifactTypeRecord, info: Info, name: str) -> Collection | None:
    known = await resolve_named(found, info, name)
    return None if known is None or known.is_portfolio else known


@artifact_type.field("artifactCollection")
async def resolve_named(found: ArtifactTypeRecord, info: Info, name: str) -> Collection | None:
    known = await info.context.read(collections.collection_by_name, found.project_id, name)
    return known if known and known.type == found.name else None


@artifact_type.field("artifactCollections")
async def resolve_collections(
    found: ArtifactTypeRecord, info: Info, after: str | None = None, first: int | None = None, **ignored: object
) -> dict[str, Any]:
    return await _page(info, found.project_id, found.name, after, first)


async def _page(
    info: Info, project_id: int, type_name: str | None, after: str | None, first: int | None
) -> dict[str, Any]:
    size, before = size_of(first, _PER_PAGE), start_of(after, HIGHEST_NUMBER)

    def work(connection: Connection) -> tuple[list[Collection], int]:
        rows = collections.page_of_collections(connection, project_id, type_name, before, size + 1)
        return rows, collections.count_collections(connection, project_id, type_name)

    rows, total = await info.context.read(work)
    return connection_of(rows, size, lambda row: row, lambda row: row.id, total)


@collection.field("id")
def resolve_id(found: Collection, info: Info) -> str:
    return storage_id(collections.KIND, found.id)


@collection.field("state")
def resolve_state(found: Collection, info: Info) -> str:
    return "DELETED" if found.deleted else "READY"


@collection.field("project")
async def resolve_project(found: Collection, info: Info) -> ProjectRecord:
    return await info.context.read(principals.project_by_id, found.project_id)


@collection.field("defaultArtifactType")
def resolve_default_type(found: Collection, info: Info) -> ArtifactTypeRecord:
    return ArtifactTypeRecord(project_id=found.project_id, name=found.type, created_at=found.created_at)


@collection.field("tags")
def resolve_tags(found: Collection, info: Info, after: str | None = None, first: int | None = None) -> dict[str, Any]:
    return single_page(tag_nodes(collections.KIND, found.id, found.tags))


@collection.field("aliases")
async def resolve_aliases(
    found: Collection, info: Info, after: str | None = None, first: int | None = None
) -> dict[str, Any]:
    size, start = size_of(first, _PER_PAGE), start_of(after, 0)
    rows = await info.context.read(artifact_aliases.aliases_in, found.id, start, size + 1)
    return connection_of(rows, size, lambda row: alias_node(found, str(row[0]), row[1]), lambda row: row[0])


@collection.field("latestArtifact")
async def resolve_latest(found: Collection, info: Info) -> Artifact | None:
    member = await info.context.read(artifact_members.latest_of, info.context.viewer.looking(), found)
    return member.artifact if member else None


@collection.field("artifactMembership")
async def resolve_membership(found: Collection, info: Info, alias_name: str) -> ArtifactMembership | None:
    return await info.context.read(artifact_members.by_alias, info.context.viewer.looking(), found, alias_name)


@collection.field("artifacts")
async def resolve_versions(
    found: Collection,
    info: Info,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> dict[str, Any]:
    size = size_of(first, _PER_PAGE)
    wanted = _filters(filters)
    oldest_first = _oldest_first(order)
    beyond = start_of(after, -1)
    tags = [wanted.tags] if isinstance(wanted.tags, str) else wanted.tags

    viewer = info.context.viewer.looking()

    def work(connection: Connection) -> tuple[list[ArtifactMembership], int]:
        if wanted.state != artifacts.COMMITTED:
            return [], 0
        last = None if beyond < 0 else beyond
        rows = artifact_members.page(connection, viewer, found, last, size + 1, oldest_first=oldest_first, tags=tags)
        return rows, artifact_members.count(connection, viewer, found)

    rows, total = await info.context.read(work)
    page = connection_of(
        rows, size, lambda row: row.artifact, lambda row: row.version_index or 0, None if tags else total
    )
    for edge in page["edges"]:
        edge["version"] = f"v{edge['cursor']}"
    return page


def _filters(text: str | None) -> _Filters:
    try:
        return _filters_decoder.decode(text or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"Artifacts can be filtered by 'state' and 'tags' only: {error}.") from error


def _oldest_first(order: str | None) -> bool:
    """Decode W&B's order; the default is the newest first."""
    if order is None:
        return False
    if order.lstrip("+-") not in _ORDERS:
        raise Refused(f"Artifacts can be ordered by 'createdAt' and 'versionIndex', not by {order[:40]!r}.")
    return not order.startswith("-")
