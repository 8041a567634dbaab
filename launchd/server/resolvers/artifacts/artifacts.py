"""Reading artifacts: versions by id, by name and alias, and their memberships in collections."""

import hashlib
from typing import Any

from ariadne import ObjectType, QueryType

from launchd.server.context import Info
from launchd.server.models import Artifact, ArtifactMembership, ArtifactTypeRecord, Collection, ProjectRecord
from launchd.server.resolvers.artifacts.nodes import alias_nodes, file_node, files_of, manifest_node, tag_nodes
from launchd.server.resolvers.pagination import single_page
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import members as artifact_members
from launchd.server.store.ids import storage_id

query = QueryType()
project = ObjectType("Project")
artifact = ObjectType("Artifact")
membership = ObjectType("ArtifactCollectionMembership")
bindables = [query, project, artifact, membership]

_NO_TTL = -2
"""W&B's value for an unlimited lifetime."""


@query.field("artifact")
async def resolve_artifact(_: object, info: Info, id: str) -> Artifact | None:
    return await info.context.read(artifacts.find_artifact, info.context.viewer, id)


@query.field("clientIDMapping")
async def resolve_client_id(_: object, info: Info, client_id: str) -> dict[str, str] | None:
    found = await info.context.read(artifacts.by_client_id, info.context.viewer, client_id)
    return {"server_id": storage_id("Artifact", found.number)} if found else None


@project.field("artifact")
async def resolve_by_name(
    found: ProjectRecord, info: Info, name: str, enable_tracking: bool | None = None
) -> Artifact | None:
    member = await info.context.read(artifact_members.by_name, info.context.viewer, found.id, name)
    return member.artifact if member else None


@project.field("artifactCollectionMembership")
async def resolve_membership(found: ProjectRecord, info: Info, name: str) -> ArtifactMembership | None:
    return await info.context.read(artifact_members.by_name, info.context.viewer, found.id, name)


@artifact.field("id")
def resolve_id(found: Artifact, info: Info) -> str:
    return storage_id("Artifact", found.number)


@artifact.field("artifactSequence")
def resolve_sequence(found: Artifact, info: Info) -> Collection:
    return found.collection


@artifact.field("artifactType")
def resolve_type(found: Artifact, info: Info) -> ArtifactTypeRecord:
    collection = found.collection
    return ArtifactTypeRecord(project_id=collection.project_id, name=collection.type, created_at=collection.created_at)


@artifact.field("commitHash")
def resolve_commit_hash(found: Artifact, info: Info) -> str | None:
    """Of a committed version; W&B's clients require one. It tells two versions with the same content apart."""
    if found.state != artifacts.COMMITTED:
        return None
    return hashlib.sha256(f"{found.number}:{found.digest}".encode()).hexdigest()[:20]


@artifact.field("ttlDurationSeconds")
def resolve_ttl(found: Artifact, info: Info) -> int:
    return found.ttl_seconds or _NO_TTL


@artifact.field("ttlIsInherited")
def resolve_ttl_is_inherited(found: Artifact, info: Info) -> bool:
    return found.ttl_seconds is None


@artifact.field("tags")
def resolve_tags(found: Artifact, info: Info) -> list[dict[str, Any]]:
    return tag_nodes("Artifact", found.number, found.tags)


@artifact.field("aliases")
async def resolve_aliases(found: Artifact, info: Info) -> list[dict[str, Any]]:
    """Aliases in all collections, as W&B's clients expect: they filter for the collection they asked about."""
    members = await _memberships_of(found, info)
    return await alias_nodes(info, found, members)


@artifact.field("artifactMemberships")
async def resolve_memberships(found: Artifact, info: Info) -> dict[str, Any]:
    return single_page(await _memberships_of(found, info))


async def _memberships_of(found: Artifact, info: Info) -> list[ArtifactMembership]:
    return await info.context.read(artifact_members.memberships_of, info.context.viewer.looking(), found)


@artifact.field("currentManifest")
async def resolve_manifest(found: Artifact, info: Info) -> dict[str, Any] | None:
    manifest = await info.context.read(artifact_files.manifest_of, found)
    return manifest_node(manifest, file_node(info, manifest)) if manifest and manifest.content else None


@artifact.field("files")
async def resolve_files(
    found: Artifact, info: Info, first: int | None = None, after: str | None = None, names: list[str] | None = None
) -> dict[str, Any]:
    return await files_of(info, found, first, after, names)


@membership.field("id")
def resolve_membership_id(found: ArtifactMembership, info: Info) -> str:
    return storage_id("ArtifactCollectionMembership", found.collection.id, found.artifact.number)


@membership.field("artifactCollection")
def resolve_collection(found: ArtifactMembership, info: Info) -> Collection:
    return found.collection


@membership.field("aliases")
async def resolve_membership_aliases(found: ArtifactMembership, info: Info) -> list[dict[str, Any]]:
    return await alias_nodes(info, found.artifact, [found])


@membership.field("files")
async def resolve_membership_files(
    found: ArtifactMembership,
    info: Info,
    first: int | None = None,
    after: str | None = None,
    names: list[str] | None = None,
) -> dict[str, Any]:
    return await files_of(info, found.artifact, first, after, names)
