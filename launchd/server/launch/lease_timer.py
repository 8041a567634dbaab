"""Ends expired leases by one timer, set for the earliest end; idle while nothing is leased."""

import asyncio
import logging
import math

from sqlalchemy import Connection

from launchd.server.errors import StoreUnavailable
from launchd.server.measures import ServerMeasures
from launchd.server.notifier import Notifier, work_topics
from launchd.server.store.database import Database
from launchd.server.store.launch import leases

logger = logging.getLogger(__name__)

_SLACK = 0.01
_RETRY_SECONDS = 5.0


class LeaseTimer:
    """One timer, set for the earliest end that was announced, and at most `scan_seconds` ahead."""

    def __init__(
        self, database: Database, notifier: Notifier, measures: ServerMeasures, scan_seconds: float = math.inf
    ) -> None:
        self._scan_seconds = scan_seconds
        self._measures = measures
        self._database = database
        self._notifier = notifier
        self._timer: asyncio.TimerHandle | None = None
        self._ends_at = math.inf
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look for leases from before the start of the server."""
        self._fire()

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def leased_for(self, seconds: float) -> None:
        """Note that a lease ends in so many seconds."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + max(0.0, seconds) + _SLACK
        if ends_at >= self._ends_at or self._notifier.closed:
            return
        self.stop()
        self._ends_at = ends_at
        self._timer = loop.call_at(ends_at, self._fire)

    def _fire(self) -> None:
        self._ends_at = math.inf
        self._running = asyncio.get_running_loop().create_task(self._return_expired())

    async def _return_expired(self) -> None:
        try:
            queues, following = await self._database.write_guarded(_end_leases)
        except StoreUnavailable:
            queues, following = [], _RETRY_SECONDS
        except Exception:
            logger.exception("Ending leases raised an unexpected error; it is tried again.")
            queues, following = [], _RETRY_SECONDS
        if queues:
            self._measures.leases_ended(len(queues))
            logger.info("Leases ended unacknowledged; their items wait again.", extra={"queues": sorted(set(queues))})
            self._notifier.wake_all(work_topics(queues))
        following = min(math.inf if following is None else following, self._scan_seconds)
        if following < math.inf:
            self.leased_for(following)


def _end_leases(connection: Connection) -> tuple[list[str], float | None]:
    return leases.return_expired(connection), leases.next_lease_end(connection)
