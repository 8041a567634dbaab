"""Garbage collection: removes blobs without a reference in the database, by timer and on request.

Before that, what is kept for a time alone loses its rows: ended runs and items, abandoned and expired artifacts, what
deleted entities had, agents that are long gone.

A blob is removed if the database does not know it, twice: once without a lock, and some seconds later under the lock of
its shard. The lock excludes uploads that are storing it just now; the pause is for a transaction that has seen a file
with this blob, is not committed yet, and refers to the blob from another file.
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
from launchd.server.files.deleted_entities import remove_what_is_left
from launchd.server.files.old_items import remove_old_items
from launchd.server.files.output_store import OutputStore
from launchd.server.files.quota import StorageQuota
from launchd.server.files.retention import Retention
from launchd.server.settings import ServerSettings
from launchd.server.store.artifacts import edits as artifact_edits
from launchd.server.store.artifacts import expiry
from launchd.server.store.database import Database
from launchd.server.store.launch import gone_agents

logger = logging.getLogger(__name__)

FindKnown = Callable[[Connection, Sequence[str]], set[str]]
_BATCH = 5_000


@dataclass(frozen=True)
class GcResult:
    """What one collection removed, and what is left, in files and bytes."""

    removed_files: int
    removed_bytes: int
    used_bytes: int


class GarbageCollector:
    """Collects every `gc_interval_seconds`, one collection at a time. `stores`: each with its query for known blobs."""

    def __init__(
        self,
        settings: ServerSettings,
        database: Database,
        quota: StorageQuota,
        retention: Retention,
        stores: Mapping[BlobStore, FindKnown],
        outputs: OutputStore,
    ) -> None:
        self._settings = settings
        self._database = database
        self._quota = quota
        self._retention = retention
        self._stores = stores
        self._outputs = outputs
        self._lock = asyncio.Lock()
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if settings.max_store_bytes is not None:
            self._measure()

    def start(self) -> None:
        """Start collecting by timer. Needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Stop collecting by timer."""
        if self._task is not None:
            self._task.cancel()

    def collect_soon(self) -> None:
        """Collect soon, because much can be removed. Has no effect unless the timer runs."""
        self._due.set()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), self._settings.gc_interval_seconds)
            self._due.clear()
            try:
                await self.collect()
            except (ServerError, OSError) as error:
                logger.warning("Garbage collection failed and will be repeated.", extra={"error": str(error)})
            except Exception:
                # Without this task, nothing would be collected until the server is started again.
                logger.exception("Garbage collection raised an unexpected error and will be repeated.")

    async def collect(self) -> GcResult:
        """Let ended runs go, delete abandoned and expired artifacts, and remove unreferenced blobs."""
        async with self._lock:
            await self._retention.apply()
            if self._settings.keep_items_seconds is not None:
                await remove_old_items(self._database, self._settings.keep_items_seconds)
            await remove_what_is_left(self._database)
            await self._delete_expired()
            await self._remove_gone_agents()
            candidates = {
                store: await self._unknown_by_shard(store, find_known) for store, find_known in self._stores.items()
            }
            if any(candidates.values()):
                await asyncio.sleep(self._settings.gc_pause_seconds)
            removed = [
                size
                for store, shards in candidates.items()
                for shard, digests in shards.items()
                for size in await self._remove_unknown(store, shard, digests)
            ]
            await asyncio.to_thread(self._outputs.remove_older, self._settings.keep_output_seconds)
            await asyncio.to_thread(self._measure)
        if removed:
            logger.info("Garbage was collected.", extra={"files": len(removed), "bytes": sum(removed)})
        return GcResult(len(removed), sum(removed), self._quota.used)

    async def _delete_expired(self) -> None:
        now = time.time()
        before = now - self._settings.abandoned_seconds
        while await self._database.write(lambda connection: expiry.delete_abandoned(connection, before)):
            pass
        while await self._database.write(lambda connection: expiry.delete_expired(connection, now)):
            pass
        while await self._database.write(artifact_edits.remove_some_files):
            pass

    async def _remove_gone_agents(self) -> None:
        removed = 0
        while some := await self._database.write(gone_agents.remove_some):
            removed += some
        if removed:
            logger.info("Agents that are long gone were removed.", extra={"agents": removed})

    async def _unknown_by_shard(self, store: BlobStore, find_known: FindKnown) -> dict[str, dict[str, int]]:
        """Unknown blobs by shard; the leftovers of interrupted uploads are removed at once."""
        await asyncio.to_thread(store.remove_leftovers)
        found = {}
        for shard in await asyncio.to_thread(store.shards):
            digests = await asyncio.to_thread(store.blobs_in, shard)
            unknown = await self._unknown(find_known, digests)
            if unknown:
                found[shard] = unknown
        return found

    async def _unknown(self, find_known: FindKnown, digests: Mapping[str, int]) -> dict[str, int]:
        names = list(digests)

        def work(connection: Connection) -> set[str]:
            return set().union(*(find_known(connection, batch) for batch in _batches(names)))

        found = await self._database.read(work) if names else set()
        return {name: size for name, size in digests.items() if name not in found}

    async def _remove_unknown(self, store: BlobStore, shard: str, digests: Mapping[str, int]) -> list[int]:
        """Sizes of the removed blobs."""
        with store.exclusive_shard(shard) as alone:
            if not alone:
                return []
            unknown = await self._unknown(self._stores[store], digests)
            for name, size in unknown.items():
                await asyncio.to_thread(store.remove, name, size)
            return list(unknown.values())

    def _measure(self) -> None:
        """Measure the disk, which includes what other servers stored in the same directory."""
        self._quota.set_used(sum(map(_size_of, self._stores)))


def _size_of(store: BlobStore) -> int:
    return sum(sum(store.blobs_in(shard).values()) for shard in store.shards())


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]
