"""A database whose transactions are timed."""

import time
from collections.abc import Awaitable
from typing import TypeVar

from launchd.server.errors import StoreUnavailable
from launchd.server.measures import ServerMeasures
from launchd.server.store.database import Database, Lane, Work

T = TypeVar("T")


class MeasuredDatabase:
    """A `Database` before another one."""

    def __init__(self, database: Database, measures: ServerMeasures) -> None:
        self._database = database
        self._measures = measures

    async def read(self, work: Work[T], lane: Lane = Lane.USUAL) -> T:
        """Run `work` on a consistent view. Returns its result."""
        return await self._timed("read", self._database.read(work, lane))

    async def write(self, work: Work[T]) -> T:
        """Run `work` while nothing else writes. Returns its result."""
        return await self._timed("write", self._database.write(work))

    async def write_guarded(self, work: Work[T]) -> T:
        """Run `work`, possibly beside other guarded work. Returns its result."""
        return await self._timed("write", self._database.write_guarded(work))

    def close(self) -> None:
        """Finish the submitted work, then close."""
        self._database.close()

    async def _timed(self, access: str, work: Awaitable[T]) -> T:
        begun = time.monotonic()
        try:
            return await work
        except StoreUnavailable:
            self._measures.database_failed()
            raise
        finally:
            self._measures.transaction(access, time.monotonic() - begun)
