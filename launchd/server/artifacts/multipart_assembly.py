"""Assembly of files that were uploaded in parts, by one task per file.

It takes as long as reading and writing the file does, which may be longer than a client waits for a response. The task
continues when the request that started it has ended, and a repeated request joins it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from launchd.server.errors import Refused, StoreUnavailable
from launchd.server.files.blob_store import Blob, BlobStore
from launchd.server.models import ArtifactFile, FilePart
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.database import Database

logger = logging.getLogger(__name__)

_PIECE = 4 * 1024 * 1024


class MultipartAssembler:
    """Assembles files in `blobs`. A request waits at most `timeout_seconds` for it."""

    def __init__(self, blobs: BlobStore, database: Database, timeout_seconds: float) -> None:
        self._blobs = blobs
        self._database = database
        self._timeout = timeout_seconds
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def assemble(self, file: ArtifactFile, parts: Sequence[FilePart], uploader_id: int) -> None:
        """Assemble a file from its parts, all of which have arrived; it is stored when this returns.

        Raises:
            Refused: the parts are not the announced file, or there is no room for it.
            StoreUnavailable: the disk failed, or the time is over; the task continues, and a repeated call joins it.
        """
        task = self._tasks.get(file.id)
        if task is None:
            task = self._tasks[file.id] = asyncio.create_task(self._join_parts(file, parts, uploader_id))
            task.add_done_callback(lambda task: self._on_done(file, task))
        done, _ = await asyncio.wait([task], timeout=self._timeout)
        if not done:
            raise StoreUnavailable(f"The parts of {file.name!r} are still being put together. Ask again soon.")
        task.result()

    def _on_done(self, file: ArtifactFile, task: asyncio.Task[None]) -> None:
        """The next call after a failure starts again. The failure is logged, as its request may have ended before."""
        del self._tasks[file.id]
        if not task.cancelled() and task.exception():
            fields = {"file": file.name, "error": str(task.exception())}
            logger.warning("A file could not be assembled from its parts.", extra=fields)

    async def _join_parts(self, file: ArtifactFile, parts: Sequence[FilePart], uploader_id: int) -> None:
        size = sum(part.size or 0 for part in parts)
        paths = [self._blobs.path(part.content) for part in parts if part.content]
        async with self._blobs.receiving(_read_parts(paths), file.md5, size) as blob:
            await self._database.write(lambda connection: _set_arrived(connection, file, blob, uploader_id))


def _set_arrived(connection: Connection, file: ArtifactFile, blob: Blob, uploader_id: int) -> None:
    if not artifact_files.arrived(connection, file, blob.sha256, blob.size, uploader_id):
        raise Refused("The artifact of this file has been committed or deleted, or was announced with another content.")


async def _read_parts(paths: Sequence[Path]) -> AsyncIterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
