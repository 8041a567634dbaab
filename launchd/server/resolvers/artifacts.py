"""Artifacts: reading, and W&B's four steps to log one (create, manifest, files, commit)."""

from collections import defaultdict
from typing import Any

from ariadne import InterfaceType, MutationType, ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.store import artifact_files, artifacts, identities
from launchd.server.store.artifact_files import FILE, MANIFEST
from launchd.server.store.ids import storage_id
from launchd.server.store.records import Artifact, ArtifactFile, FileSpec, ProjectRecord

query = QueryType()
mutation = MutationType()
artifact = ObjectType("Artifact")
collection = InterfaceType("ArtifactCollection", type_resolver=lambda *_: "ArtifactSequence")
sequence = ObjectType("ArtifactSequence")
bindables = [query, mutation, artifact, collection, sequence]

_MOST_FILES = 10_000
_NO_TTL = -2
"""What W&B's clients take for "lives for ever"."""


@query.field("artifact")
async def resolve_artifact(_: object, info: Info, id: str) -> Artifact | None:
    return await info.context.read(artifacts.find_artifact, info.context.viewer, id)


@artifact.field("id")
def resolve_id(found: Artifact, info: Info) -> str:
    return storage_id("Artifact", found.number)


@artifact.field("artifactSequence")
def resolve_sequence(found: Artifact, info: Info) -> Artifact:
    """A collection is shown through one of its versions."""
    return found


@artifact.field("artifactType")
def resolve_type(found: Artifact, info: Info) -> dict[str, str]:
    return {"name": found.type}


@artifact.field("ttlDurationSeconds")
def resolve_ttl(found: Artifact, info: Info) -> int:
    return _NO_TTL


@artifact.field("ttlIsInherited")
def resolve_ttl_is_inherited(found: Artifact, info: Info) -> bool:
    return True


@artifact.field("tags")
def resolve_tags(found: Artifact, info: Info) -> list[dict[str, Any]]:
    return [{"id": storage_id("Tag", found.number, name), "name": name} for name in found.tags]


@artifact.field("aliases")
async def resolve_aliases(found: Artifact, info: Info) -> list[dict[str, Any]]:
    aliases = await info.context.read(artifacts.aliases_of, found.number)
    return [{"id": str(alias_id), "alias": word, "artifact_collection": found} for alias_id, word in aliases]


@artifact.field("currentManifest")
async def resolve_manifest(found: Artifact, info: Info) -> dict[str, Any] | None:
    manifest = await info.context.read(artifact_files.manifest_of, found)
    return _manifest_node(info, manifest) if manifest and manifest.content else None


@artifact.field("files")
async def resolve_files(
    found: Artifact, info: Info, first: int | None = None, after: str | None = None, names: list[str] | None = None
) -> dict[str, Any]:
    """One more than asked for is read, to know whether there is a next page."""
    limit = min(max(0, first if first is not None else 1000), _MOST_FILES)
    start = int(after) if after and after.isdecimal() else 0
    rows = await info.context.read(artifact_files.page_of_files, found, start, limit + 1, names)
    edges = [{"node": _file_node(info, row), "cursor": str(row.id)} for row in rows[:limit]]
    end = str(rows[:limit][-1].id) if rows[:limit] else None
    return {"edges": edges, "page_info": {"has_next_page": len(rows) > limit, "end_cursor": end}}


@sequence.field("id")
def resolve_sequence_id(found: Artifact, info: Info) -> str:
    return storage_id("ArtifactCollection", found.collection_id)


@sequence.field("name")
def resolve_sequence_name(found: Artifact, info: Info) -> str:
    return found.collection_name


@sequence.field("project")
async def resolve_sequence_project(found: Artifact, info: Info) -> ProjectRecord:
    return await info.context.read(identities.project_by_id, found.project_id)


@sequence.field("latestArtifact")
async def resolve_latest(found: Artifact, info: Info) -> Artifact | None:
    return await info.context.read(artifacts.latest_of, found.collection_id)


def _file_node(info: Info, row: ArtifactFile, of: Artifact | None = None) -> dict[str, Any]:
    """A `File`. Its links say what its holder may do, so they are made only for those who may use the artifact."""
    links, base_url = info.context.services.links, info.context.base_url
    here = row.content is not None
    return {
        "id": str(row.id),
        "name": row.name,
        "storage_path": f"{row.artifact_number}/{row.id}",
        "digest": row.md5,
        "md5": row.md5,
        "mimetype": row.mimetype,
        "size_bytes": row.size,
        "direct_url": links.download(base_url, row.id) if here else None,
        "upload_url": None if here or not row.md5 else links.upload(base_url, row.id),
        "upload_headers": [],
        "upload_multipart_urls": None,
        "artifact": of,
    }


def _manifest_node(info: Info, row: ArtifactFile) -> dict[str, Any]:
    return {"id": storage_id("ArtifactManifest", row.artifact_number), "file": _file_node(info, row)}


@mutation.field("createArtifact")
async def create(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> Artifact:
        entity = identities.require_entity(connection, context.viewer, input["entity_name"])
        return artifacts.create_artifact(connection, context.viewer, entity, input)

    return {"artifact": await context.write(work)}


@mutation.field("createArtifactManifest")
async def create_manifest(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    spec = FileSpec(name=input["name"], md5=input["digest"])

    def work(connection: Connection) -> ArtifactFile:
        found = artifacts.require_pending(connection, context.viewer, input["artifact_id"])
        return artifact_files.announce(connection, found, MANIFEST, [spec])[0]

    return {"artifact_manifest": _manifest_node(info, await context.write(work))}


@mutation.field("createArtifactFiles")
async def create_files(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    specs: list[dict[str, Any]] = input["artifact_files"]
    by_artifact: defaultdict[str, list[FileSpec]] = defaultdict(list)
    for spec in specs:
        wanted = FileSpec(name=spec["name"], md5=spec["md5"], mimetype=spec.get("mimetype"))
        by_artifact[spec["artifact_id"]].append(wanted)

    def work(connection: Connection) -> dict[tuple[str, str], dict[str, Any]]:
        nodes = {}
        for artifact_id, wanted in by_artifact.items():
            found = artifacts.require_pending(connection, context.viewer, artifact_id)
            for row in artifact_files.announce(connection, found, FILE, wanted):
                nodes[artifact_id, row.name] = _file_node(info, row, found)
        return nodes

    nodes = await context.write(work)
    edges = [{"node": nodes[spec["artifact_id"], spec["name"]], "cursor": ""} for spec in specs]
    return {"files": {"edges": edges, "page_info": {"has_next_page": False, "end_cursor": None}}}
