"""Files that came in parts, put together. Owns which of them are at it; knows neither GraphQL nor keys.

It takes as long as reading and writing the file does, which may be longer than a client waits for an answer. So it goes
on when the request that began it has been given up, and who asks again joins it.
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
    """Puts the parts of files together in `contents`. `patience_seconds`: how long somebody who asks is let wait."""

    def __init__(self, contents: BlobStore, database: Database, patience_seconds: float) -> None:
        self._contents = contents
        self._database = database
        self._timeout = patience_seconds
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def assemble(self, file: ArtifactFile, parts: Sequence[FilePart]) -> None:
        """Have a file put together of its parts, all of which have arrived; it is stored when this returns.

        Raises:
            Refused: together they are not the file that was announced, or there is no room for it.
            StoreUnavailable: the disk failed, or it takes longer; it goes on, and who asks again waits for it.
        """
        task = self._tasks.get(file.id)
        if task is None:
            task = self._tasks[file.id] = asyncio.create_task(self._put_together(file, parts))
            task.add_done_callback(lambda ended: self._note_end(file, ended))
        done, _ = await asyncio.wait([task], timeout=self._timeout)
        if not done:
            raise StoreUnavailable(f"The parts of {file.name!r} are still being put together. Ask again soon.")
        task.result()

    def _note_end(self, file: ArtifactFile, ended: asyncio.Task[None]) -> None:
        """Whoever asks after a failure begins anew; the request that saw it may be long gone, so the log tells it."""
        del self._tasks[file.id]
        if not ended.cancelled() and ended.exception():
            fields = {"file": file.name, "error": str(ended.exception())}
            logger.warning("A file could not be put together of its parts.", extra=fields)

    async def _put_together(self, file: ArtifactFile, parts: Sequence[FilePart]) -> None:
        size = sum(part.size or 0 for part in parts)
        paths = [self._contents.path(part.content) for part in parts if part.content]
        async with self._contents.receiving(_pieces_of(paths), file.md5, size) as content:
            await self._database.write(lambda connection: _keep(connection, file, content))


def _keep(connection: Connection, file: ArtifactFile, content: Blob) -> None:
    if not artifact_files.arrived(connection, file, content.sha256, content.size):
        raise Refused("The artifact of this file has been deleted, or was announced with another content.")


async def _pieces_of(paths: Sequence[Path]) -> AsyncIterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
