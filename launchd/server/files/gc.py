"""Garbage collection: contents that no file of the database has, by timer and when asked. Owns the order of the steps.

A content may go if the database does not know it, twice: once without a lock, and once more some seconds later, under
the lock of its shelf. The lock keeps those out who are bringing it just now; the seconds are for a transaction that
has seen a file with this content, is not yet committed, and gives it to another file.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection

from launchd.server.errors import ServerError
from launchd.server.files.blob_store import BlobStore
from launchd.server.files.quota import StorageQuota
from launchd.server.settings import ServerSettings
from launchd.server.store.artifacts import expiry
from launchd.server.store.database import Database

logger = logging.getLogger(__name__)

Known = Callable[[Connection, Sequence[str]], set[str]]
_BATCH = 5_000


@dataclass(frozen=True)
class Collected:
    """What one collection removed, and what is left: files and bytes."""

    removed_files: int
    removed_bytes: int
    used_bytes: int


class GarbageCollector:
    """Collects every `gc_interval_seconds`, one collection at a time. `stores`: each with what knows its contents."""

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        quota: StorageQuota,
        stores: Mapping[BlobStore, Known],
    ) -> None:
        self._settings = settings
        self._database = database
        self._budget = quota
        self._stores = stores
        self._one = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if settings.max_store_bytes is not None:
            self._measure()

    def start(self) -> None:
        """Collect from time to time. Needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Collect no more."""
        if self._task is not None:
            self._task.cancel()

    def hurry(self) -> None:
        """There is much to be removed: collect soon. Only while it runs."""
        self._hurry.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._settings.gc_interval_seconds)
            self._hurry.clear()
            try:
                await self.collect()
            except (ServerError, OSError) as error:
                logger.warning("Garbage could not be collected; it is tried again.", extra={"error": str(error)})

    async def collect(self) -> Collected:
        """Let go of abandoned and expired artifacts, and remove what nobody has any more."""
        async with self._one:
            await self._forget()
            candidates = {store: await self._unknown(store, known) for store, known in self._stores.items()}
            if any(candidates.values()):
                await asyncio.sleep(self._settings.gc_pause_seconds)
            removed = [
                size
                for store, shelves in candidates.items()
                for shelf, contents in shelves.items()
                for size in await self._clear(store, shelf, contents)
            ]
            await asyncio.to_thread(self._measure)
        if removed:
            logger.info("Garbage was collected.", extra={"files": len(removed), "bytes": sum(removed)})
        return Collected(len(removed), sum(removed), self._budget.used)

    async def _forget(self) -> None:
        now = time.time()
        before = now - self._settings.abandoned_seconds
        while await self._database.write(lambda connection: expiry.forget_abandoned(connection, before)):
            pass
        while await self._database.write(lambda connection: expiry.forget_expired(connection, now)):
            pass

    async def _unknown(self, store: BlobStore, known: Known) -> dict[str, dict[str, int]]:
        """Contents by shelf that the database does not know; what died on its way in goes at once."""
        await asyncio.to_thread(store.sweep)
        found = {}
        for shelf in await asyncio.to_thread(store.shelves):
            contents = await asyncio.to_thread(store.blobs_on, shelf)
            unknown = await self._not_known(known, contents)
            if unknown:
                found[shelf] = unknown
        return found

    async def _not_known(self, known: Known, contents: Mapping[str, int]) -> dict[str, int]:
        names = list(contents)

        def work(connection: Connection) -> set[str]:
            return set().union(*(known(connection, batch) for batch in _batches(names)))

        found = await self._database.read(work) if names else set()
        return {name: size for name, size in contents.items() if name not in found}

    async def _clear(self, store: BlobStore, shelf: str, contents: Mapping[str, int]) -> list[int]:
        """Sizes of what was removed."""
        with store.clearing(shelf) as alone:
            if not alone:
                return []
            unknown = await self._not_known(self._stores[store], contents)
            for name, size in unknown.items():
                await asyncio.to_thread(store.remove, name, size)
            return list(unknown.values())

    def _measure(self) -> None:
        """With several servers on one directory, what the others stored is counted here."""
        self._budget.start_from(sum(map(_size_of, self._stores)))


def _size_of(store: BlobStore) -> int:
    return sum(sum(store.blobs_on(shelf).values()) for shelf in store.shelves())


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
