"""Shows the queue server that the agent lives, and hears its stop requests.

A thread beside the pollers, because a stop has to be heard while all slots are taken.
"""

import contextlib
import logging
import threading

from launchd.agent.events import EventQueue, Registered, StopRequested
from launchd.agent.server_link.protocol import LinkContext, LinkSettings, MonitoredRun, ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped

log = logging.getLogger(__name__)


class HeartbeatLoop(threading.Thread):
    """Sends heartbeats of a registered agent until told to end."""

    def __init__(
        self, protocol: ServerProtocol, registered: Registered, settings: LinkSettings, events: EventQueue
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._events = events
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._heartbeat = protocol.heartbeat(LinkContext(registered, settings, events, self._caller))
        self._runs: tuple[MonitoredRun, ...] = ()
        self._refusal: str | None = None

    def set_active_jobs(self, runs: tuple[MonitoredRun, ...]) -> None:
        """Set the jobs that may be stopped."""
        self._runs = runs

    def end(self) -> None:
        """Send no more heartbeats; the answer to an open request is ignored."""
        self._stopped.set()

    def run(self) -> None:
        """Send heartbeats until told to end."""
        with contextlib.suppress(Stopped):
            while not self._stopped.is_set():
                self._send_once()

    def _send_once(self) -> None:
        result = self._heartbeat.send(self._runs)
        if result.refusal is not None:
            self._note_refusal(result.refusal)
        if result.stops or result.stop_polling:
            self._events.put(StopRequested(result.stops, result.stop_polling))
        self._caller.wait(result.pause_seconds)

    def _note_refusal(self, error: str) -> None:
        if error != self._refusal:
            self._refusal = error
            log.error("The queue server refused a heartbeat, or to tell what is to be stopped.", extra={"error": error})
