"""Removes contents that no file of a run has any more. Owns that decision and its clock.

A content is written before the database knows of it, so only what has lain there for an hour is looked at. Somebody may
send the same content again at that very moment; therefore a content is first moved away, and moved back if it turns out
to be young.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from launchd.server.errors import StoreUnavailable
from launchd.server.store import run_files
from launchd.server.store.database import Database

logger = logging.getLogger(__name__)

_BATCH = 500


class Leftovers:
    """Looks through `directory` of a `ContentStore` again and again, `age_seconds` apart."""

    def __init__(self, database: Database, directory: Path, age_seconds: float) -> None:
        self._database = database
        self._directory = directory
        self._age = age_seconds
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on. Needs a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._age)
            try:
                removed = await self.remove()
            except (StoreUnavailable, OSError) as error:
                logger.warning("Contents that nobody needs could not be removed.", extra={"error": str(error)})
                continue
            if removed:
                logger.info("Contents of run files that nobody needs were removed.", extra={"contents": removed})

    async def remove(self) -> int:
        """Remove what no file has and what is old enough. Returns how many contents that were."""
        before = time.time() - self._age
        removed = 0
        old = self._old(before)
        while names := await asyncio.to_thread(lambda: list(islice(old, _BATCH))):
            for name in await self._unknown(names):
                removed += await asyncio.to_thread(self.discard, name, before)
        return removed

    async def _unknown(self, names: list[str]) -> set[str]:
        return set(names) - await self._database.read(lambda connection: run_files.known_contents(connection, names))

    def _old(self, before: float) -> Iterator[str]:
        for path in self._directory.glob("[0-9a-f][0-9a-f]/*"):
            if path.stat().st_mtime < before:
                yield path.name

    def discard(self, name: str, before: float) -> bool:
        """Remove a content unless it turns out to be younger than `before` (seconds since 1970). True: gone."""
        place, away = self._directory / name[:2] / name, self._directory / "incoming" / f"{name}.leftover"
        place.rename(away)
        if away.stat().st_mtime >= before:
            away.rename(place)
            return False
        away.unlink()
        return True
