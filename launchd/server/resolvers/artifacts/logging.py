"""Logging an artifact: W&B's steps to create it and to announce its manifest and files. The last is in `commit`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.models import Artifact, ArtifactFile, ArtifactTypeRecord, FileSpec, Viewer
from launchd.server.resolvers.artifacts.multipart import digests_of, urls_of
from launchd.server.resolvers.artifacts.nodes import manifest_node, upload_node
from launchd.server.store.accounts import principals
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import lineage as artifact_lineage
from launchd.server.store.artifacts import logging as artifact_logging
from launchd.server.store.artifacts import partial as artifact_partial
from launchd.server.store.artifacts import parts as artifact_parts
from launchd.server.store.artifacts import stored as artifact_stored
from launchd.server.store.artifacts.files import FILE, MANIFEST, MANIFEST_NAME
from launchd.server.store.ids import parse_storage_id, row_number, storage_id
from launchd.server.store.runs import runs

mutation = MutationType()
bindables = [mutation]

_WHOLE, _INCREMENTAL = "FULL", "INCREMENTAL"
_PIECE = 1_000
"""Files that are announced in one transaction: others write between two of them."""


@mutation.field("createArtifactType")
async def create_type(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> ArtifactTypeRecord:
        names = {"name": input["entity_name"], "project": input["project_name"]}
        entity = principals.require_entity(connection, context.viewer, **names)
        project, _ = principals.ensure_project(connection, entity, input["project_name"])
        principals.check_name("type of artifacts", input["name"])
        return ArtifactTypeRecord(project_id=project.id, name=input["name"], created_at=None)

    return {"artifact_type": await context.write(work)}


@mutation.field("createArtifact")
async def create(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> Artifact:
        names = {"name": input["entity_name"], "project": input["project_name"]}
        entity = principals.require_entity(connection, context.viewer, **names)
        made = artifact_logging.create(connection, entity, input, context.viewer.user_id)
        run = runs.find_run(connection, made.collection.project_id, input.get("run_name") or "")
        if run is not None:
            artifact_lineage.record(connection, run, made, artifact_lineage.OUTPUT)
        return made

    return {"artifact": await context.write(work)}


@mutation.field("createArtifactManifest")
async def create_manifest(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    spec = FileSpec(name=input["name"], md5=input["digest"])
    viewer, artifact_id = info.context.viewer, input["artifact_id"]
    if input.get("type") in (None, _WHOLE):
        row = await info.context.write(_announce_manifest, viewer, artifact_id, spec)
    else:
        base_id = input.get("base_artifact_id") if input["type"] == _INCREMENTAL else None
        row = await info.context.write(_add_partial, viewer, artifact_id, spec, base_id)
    return {"artifact_manifest": manifest_node(row, upload_node(info, row))}


@mutation.field("updateArtifactManifest")
async def update_manifest(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    number, *part = parse_storage_id(input["artifact_manifest_id"], "ArtifactManifest")
    artifact_id, digest, viewer = storage_id("Artifact", number), input.get("digest") or "", info.context.viewer
    if part:
        row = await info.context.write(_announce_partial, viewer, artifact_id, row_number(part[0]) or 0, digest)
    else:
        spec = FileSpec(name=MANIFEST_NAME, md5=digest)
        row = await info.context.write(_announce_manifest, viewer, artifact_id, spec)
    return {"artifact_manifest": manifest_node(row, upload_node(info, row))}


def _add_partial(
    connection: Connection, viewer: Viewer, artifact_id: str, spec: FileSpec, base_id: str | None
) -> ArtifactFile:
    found = artifacts.require_pending(connection, viewer, artifact_id)
    if base_id is not None:
        artifacts.require_artifact(connection, viewer, base_id)
    artifact_logging.touch(connection, found)
    return artifact_partial.add(connection, found, spec, base_id)


def _announce_partial(
    connection: Connection, viewer: Viewer, artifact_id: str, row_id: int, digest: str
) -> ArtifactFile:
    found = artifacts.require_pending(connection, viewer, artifact_id)
    artifact_logging.touch(connection, found)
    return artifact_partial.announce(connection, found, row_id, digest)


def _announce_manifest(connection: Connection, viewer: Viewer, artifact_id: str, spec: FileSpec) -> ArtifactFile:
    found = artifacts.require_pending(connection, viewer, artifact_id)
    artifact_logging.touch(connection, found)
    stored = artifact_stored.of_uploader(connection, found, [spec.md5], viewer.user_id)
    return artifact_files.announce(connection, found, MANIFEST, [spec], stored)[0]


@mutation.field("createArtifactFiles")
async def create_files(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    specs: list[dict[str, Any]] = input["artifact_files"]
    by_artifact: defaultdict[str, list[FileSpec]] = defaultdict(list)
    for spec in specs:
        parts = digests_of(spec["name"], spec.get("upload_parts_input") or ())
        wanted = FileSpec(name=spec["name"], md5=spec["md5"], mimetype=spec.get("mimetype"), parts=parts)
        by_artifact[spec["artifact_id"]].append(wanted)

    nodes: dict[tuple[str, str], dict[str, Any]] = {}
    for artifact_id, files in by_artifact.items():
        for start in range(0, len(files), _PIECE):
            piece = await context.write(_announce_files, info, artifact_id, files[start : start + _PIECE])
            nodes |= {(artifact_id, node["name"]): node for node in piece}
    edges = [{"node": nodes[spec["artifact_id"], spec["name"]], "cursor": ""} for spec in specs]
    return {"files": {"edges": edges, "page_info": {"has_next_page": False, "end_cursor": None}}}


def _announce_files(
    connection: Connection, info: Info, artifact_id: str, wanted: Sequence[FileSpec]
) -> list[dict[str, Any]]:
    viewer = info.context.viewer
    found = artifacts.require_pending(connection, viewer, artifact_id)
    artifact_logging.touch(connection, found)
    stored = artifact_stored.of_uploader(connection, found, [spec.md5 for spec in wanted], viewer.user_id)
    rows = artifact_files.announce(connection, found, FILE, wanted, stored)
    return [_upload_node(connection, info, found, row, spec) for row, spec in zip(rows, wanted, strict=True)]


def _upload_node(connection: Connection, info: Info, of: Artifact, row: ArtifactFile, spec: FileSpec) -> dict[str, Any]:
    """A `File` with its upload links."""
    node = upload_node(info, row, of)
    if spec.parts and row.content is None:
        node["upload_multipart_urls"] = urls_of(info, artifact_parts.announce(connection, row, spec.parts))
    return node
