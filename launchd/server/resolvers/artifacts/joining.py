"""Joining the manifests of parts of an artifact to its whole one, which a commit then reads as any other."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import Connection

from launchd.server.artifacts.manifests import join_manifests
from launchd.server.context import Context
from launchd.server.errors import Refused
from launchd.server.files.blob_store import Blob
from launchd.server.models import Artifact, ArtifactFile, FileSpec, Viewer
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import logging as artifact_logging
from launchd.server.store.artifacts import partial as artifact_partial
from launchd.server.store.artifacts.files import MANIFEST, MANIFEST_NAME


async def join_parts(context: Context, artifact_id: str) -> None:
    """Make the artifact's whole manifest of what it has and of those of its parts, if it has any.

    Raises:
        Refused: one has not arrived or is no manifest, what it adds to is gone, or the artifact was changed.
    """
    begun, sources = await context.read(_sources, context.viewer, artifact_id)
    if not sources:
        return
    paths = [context.app.artifact_blobs.path(content) for content in sources]
    whole = await asyncio.to_thread(join_manifests, paths)
    async with context.app.artifact_blobs.receiving(_at_once(whole), None, len(whole)) as blob:
        await context.write(_replace, context.viewer, artifact_id, begun, blob)


def _sources(connection: Connection, viewer: Viewer, artifact_id: str) -> tuple[Artifact, list[str]]:
    """The artifact, and the SHA-256 of the manifests to join, in order."""
    found = artifacts.require_artifact(connection, viewer, artifact_id)
    if found.state != artifacts.PENDING:
        return found, []
    parts = artifact_partial.arrived_of(connection, found)
    whole = artifact_files.manifest_of(connection, found)
    first = [whole.content] if whole and whole.content else _bases(connection, viewer, parts)
    return found, [*first, *(part.content for part in parts if part.content)] if parts else []


def _bases(connection: Connection, viewer: Viewer, parts: Sequence[ArtifactFile]) -> list[str]:
    """The manifests of the versions that the parts add to."""
    ids = dict.fromkeys(part.reference for part in parts if part.reference)
    return [_manifest_of_base(connection, viewer, base_id) for base_id in ids]


def _manifest_of_base(connection: Connection, viewer: Viewer, base_id: str) -> str:
    base = artifacts.require_artifact(connection, viewer, base_id)
    manifest = artifact_files.manifest_of(connection, base)
    if base.state != artifacts.COMMITTED or manifest is None or manifest.content is None:
        raise Refused(
            f"Artifact {base.title!r}, to which another one adds, is not there any more. Log all files again."
        )
    return manifest.content


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _replace(connection: Connection, viewer: Viewer, artifact_id: str, begun: Artifact, blob: Blob) -> None:
    found = artifact_logging.require_untouched(connection, viewer, artifact_id, begun)
    artifact_logging.touch(connection, found)
    spec = FileSpec(name=MANIFEST_NAME, md5=blob.md5)
    row = artifact_files.announce(connection, found, MANIFEST, [spec], {})[0]
    artifact_files.arrived(connection, row, blob.sha256, blob.size, viewer.user_id)
    artifact_partial.remove_all(connection, found)
