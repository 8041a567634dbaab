"""Writes the histories of ended runs as Parquet files, when a client asks for them: wandb 0.24 and later do."""

import asyncio
import time
from collections.abc import AsyncIterator

from sqlalchemy import Connection

from launchd.server.errors import ServerError
from launchd.server.files.blob_store import Blob, BlobStore
from launchd.server.models import HISTORY, Line, Run, RunFile
from launchd.server.runs import parquet
from launchd.server.store.database import Database, Lane
from launchd.server.store.runs import exports, runs
from launchd.server.store.runs import files as run_files
from launchd.server.store.runs import lines as run_lines
from launchd.server.store.runs.states import ALIVE

_MOST_LINES = 25_000
_MOST_CHARACTERS = 32 * 1024 * 1024
"""Of one file: a history that is longer has several."""


class HistoryExports:
    """The exports of one server's runs. Lines are read and files written piece by piece, while others work."""

    def __init__(self, database: Database, blobs: BlobStore, seconds: float) -> None:
        self._database = database
        self._blobs = blobs
        self._seconds = seconds

    async def of(self, found: Run) -> list[RunFile]:
        """Return files with the whole history of a run, in their order, written as far as they are missing.

        Nothing where they cannot be had: without pyarrow, while the run goes on, where the store is full, or as long as
        there is more to write than fits into one request; what was written then is there for the next one.
        """
        if found.state in ALIVE or not found.history_lines or not parquet.is_available():
            return []
        until = time.monotonic() + self._seconds
        while True:
            files, end = await self._database.read(lambda connection: exports.of_run(connection, found.id), Lane.HEAVY)
            if end == found.history_lines:
                return files
            if time.monotonic() > until or not await self._write(found, end):
                return []

    async def _write(self, found: Run, first: int) -> bool:
        """Write one more file. False: the run goes on again, or there is no room."""
        lines = await self._database.read(lambda connection: _piece(connection, found, first), Lane.HEAVY)
        if not lines:
            return False
        content = await asyncio.to_thread(parquet.encode, lines)
        name = exports.name_of(first, lines[-1].number + 1)
        try:
            async with self._blobs.receiving(_whole(content), None, len(content)) as blob:
                return await self._database.write(lambda connection: _keep(connection, found, name, blob))
        except ServerError:
            return False


def _piece(connection: Connection, found: Run, first: int) -> list[Line]:
    """The lines of one file."""
    lines, characters = list[Line](), 0
    for line in run_lines.by_number(connection, found.id, HISTORY, first, first + _MOST_LINES):
        lines.append(line)
        characters += len(line.content)
        if characters > _MOST_CHARACTERS:
            break
    return lines


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _keep(connection: Connection, found: Run, name: str, blob: Blob) -> bool:
    now = runs.find_run(connection, found.project_id, found.name)
    if now is None or (now.id, now.history_lines) != (found.id, found.history_lines) or now.state in ALIVE:
        return False
    (file,) = run_files.announce(connection, found.id, [name])
    return run_files.arrived(connection, file.id, blob.sha256, blob.md5, blob.size)
