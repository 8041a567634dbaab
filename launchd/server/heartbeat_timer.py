"""Marks runs without heartbeats as crashed, by one timer set for the earliest moment at which a run may time out.

After a start of the server every run has the full timeout again, because no heartbeat could arrive while it was down.
"""

import asyncio
import logging
import time

from sqlalchemy import Connection

from launchd.server.errors import StoreUnavailable
from launchd.server.store.database import Database
from launchd.server.store.runs import ends as run_ends

logger = logging.getLogger(__name__)

_SLACK = 0.01
_RETRY_SECONDS = 5.0


class HeartbeatTimer:
    """One timer. It is not set while no run sends heartbeats, unless other servers share the database (`shared`)."""

    def __init__(self, database: Database, timeout_seconds: float, *, shared: bool) -> None:
        self._shared = shared
        self._database = database
        self._timeout = timeout_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopped = False

    def start(self) -> None:
        """Watch runs from before the start of the server."""
        self._set(self._timeout)

    def stop(self) -> None:
        """Stop the timer."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def on_heartbeat(self) -> None:
        """Note that a run sent a heartbeat: set the timer if it is not set."""
        if self._timer is None and not self._stopped:
            self._set(self._timeout)

    def _set(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay + _SLACK, self._fire)

    def _fire(self) -> None:
        # A heartbeat that comes while it is looked may not be seen any more: it sets the timer again.
        self._timer = None
        self._running = asyncio.get_running_loop().create_task(self._check())

    async def _check(self) -> None:
        try:
            crashed, silence = await self._database.write(self._crash_timed_out)
        except StoreUnavailable:
            crashed, silence = 0, self._timeout - _RETRY_SECONDS
        except Exception:
            logger.exception("Looking for silent runs raised an unexpected error; it is tried again.")
            crashed, silence = 0, self._timeout - _RETRY_SECONDS
        if crashed:
            logger.info("Runs sent no heartbeat any more; they count as crashed.", extra={"runs": crashed})
        if self._shared and silence is None:
            silence = 0.0
        if silence is not None and not self._stopped:
            self._set(max(0.0, self._timeout - silence))

    def _crash_timed_out(self, connection: Connection) -> tuple[int, float | None]:
        crashed = run_ends.crash_timed_out(connection, self._timeout, time.time())
        return crashed, run_ends.longest_silence(connection)
