"""Committing an artifact: its files must be those of its manifest."""

import asyncio
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.artifacts.manifests import read_manifest
from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.models import Artifact, ManifestEntry, Viewer
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import logging as artifact_logging

mutation = MutationType()
bindables = [mutation]


@mutation.field("commitArtifact")
async def commit(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Idempotent. The manifest is read outside of the transaction, because a blob cannot change."""
    context = info.context
    found, content = await context.read(_manifest_content, context.viewer, input["artifact_id"])
    if found.state == artifacts.COMMITTED:
        return {"artifact": found}
    if content is None:
        raise Refused(f"Artifact {found.title!r} has no manifest yet, so it cannot be committed.")
    entries = await asyncio.to_thread(read_manifest, context.app.artifact_blobs.path(content))
    return {"artifact": await context.write(_commit, context.viewer, input["artifact_id"], entries)}


def _manifest_content(connection: Connection, viewer: Viewer, artifact_id: str) -> tuple[Artifact, str | None]:
    found = artifacts.require_artifact(connection, viewer, artifact_id)
    manifest = artifact_files.manifest_of(connection, found)
    return found, manifest.content if manifest else None


def _commit(connection: Connection, viewer: Viewer, artifact_id: str, entries: list[ManifestEntry]) -> Artifact:
    found = artifacts.require_artifact(connection, viewer, artifact_id)
    if found.state != artifacts.COMMITTED:
        found = artifacts.require_pending(connection, viewer, artifact_id)
        size = artifact_files.match_manifest(connection, found, entries)
        artifact_logging.commit(connection, found, size=size, file_count=len(entries))
    return artifacts.require_artifact(connection, viewer, artifact_id)
