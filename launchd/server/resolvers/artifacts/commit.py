"""Committing an artifact: its files must be those of its manifest."""

import asyncio
from collections.abc import Sequence
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.artifacts.manifests import read_manifest
from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.models import Artifact, ManifestEntry, Viewer
from launchd.server.resolvers.artifacts.joining import join_parts
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import logging as artifact_logging
from launchd.server.store.artifacts import matching as artifact_matching
from launchd.server.store.artifacts.files import FILE, REFERENCE

mutation = MutationType()
bindables = [mutation]

_PIECE = 1000
"""Entries of a manifest that one transaction takes: others write between two of them."""


@mutation.field("commitArtifact")
async def commit(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Idempotent. The manifest is read outside of the transactions, because the blob of a content cannot change."""
    context, artifact_id = info.context, input["artifact_id"]
    await join_parts(context, artifact_id)
    begun, content = await context.write(_begin, context.viewer, artifact_id)
    if begun.state == artifacts.COMMITTED:
        return {"artifact": begun}
    if content is None:
        raise Refused(f"Artifact {begun.title!r} has no manifest yet, so it cannot be committed.")
    entries = await asyncio.to_thread(read_manifest, context.app.artifact_blobs.path(content))
    await _match(context, artifact_id, begun, entries)
    return {"artifact": await context.write(_finish, context.viewer, artifact_id, begun, entries)}


def _begin(connection: Connection, viewer: Viewer, artifact_id: str) -> tuple[Artifact, str | None]:
    """The artifact, and the SHA-256 of its manifest, if that has arrived."""
    found = artifacts.require_artifact(connection, viewer, artifact_id)
    if found.state != artifacts.COMMITTED:
        artifact_logging.touch(connection, artifacts.require_pending(connection, viewer, artifact_id))
    manifest = artifact_files.manifest_of(connection, found)
    return artifacts.require_artifact(connection, viewer, artifact_id), manifest.content if manifest else None


async def _match(context: Context, artifact_id: str, begun: Artifact, entries: Sequence[ManifestEntry]) -> None:
    for start in range(0, len(entries), _PIECE):
        piece = entries[start : start + _PIECE]
        await context.write(_match_piece, context.viewer, artifact_id, begun, piece)
    wanted = {(FILE if entry.reference is None else REFERENCE, entry.name) for entry in entries}
    extra = await context.read_long(artifact_matching.extra_files, begun, wanted)
    for start in range(0, len(extra), _PIECE):
        ids = extra[start : start + _PIECE]
        await context.write(_remove_piece, context.viewer, artifact_id, begun, ids)


def _match_piece(
    connection: Connection, viewer: Viewer, artifact_id: str, begun: Artifact, entries: Sequence[ManifestEntry]
) -> None:
    found = artifact_logging.require_untouched(connection, viewer, artifact_id, begun)
    artifact_matching.match(connection, found, entries)


def _remove_piece(
    connection: Connection, viewer: Viewer, artifact_id: str, begun: Artifact, ids: Sequence[int]
) -> None:
    found = artifact_logging.require_untouched(connection, viewer, artifact_id, begun)
    artifact_matching.remove_files(connection, found, ids)


def _finish(
    connection: Connection, viewer: Viewer, artifact_id: str, begun: Artifact, entries: Sequence[ManifestEntry]
) -> Artifact:
    found = artifact_logging.require_untouched(connection, viewer, artifact_id, begun)
    artifact_matching.finish(connection, found, len(entries))
    size = sum(entry.size for entry in entries)
    artifact_logging.commit(connection, found, size=size, file_count=len(entries))
    return artifacts.require_artifact(connection, viewer, artifact_id)
