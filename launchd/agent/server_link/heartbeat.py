"""Shows the queue server that the agent lives and what it holds, and hears its requests: stops, and looks at outputs.

A thread beside the pollers, because a stop has to be heard while all slots are taken.
"""

import contextlib
import logging
import threading

from launchd.agent.events import DrainTakenBack, EventQueue, ItemsUnknown, Registered, RegistrationLost, StopRequested
from launchd.agent.server_link.output_sender import OutputSender
from launchd.agent.server_link.protocol import HeartbeatResult, LinkContext, LinkSettings, MonitoredRun, ServerProtocol
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import HeldItem

log = logging.getLogger(__name__)


class HeartbeatLoop(threading.Thread):
    """Sends heartbeats of a registered agent until told to end."""

    def __init__(
        self,
        protocol: ServerProtocol,
        registered: Registered,
        settings: LinkSettings,
        events: EventQueue,
        outputs: OutputSender | None = None,
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._agent_id = registered.agent_id
        self._events = events
        self._outputs = outputs
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._heartbeat = protocol.heartbeat(LinkContext(registered, settings, events, self._caller))
        self._active: tuple[tuple[MonitoredRun, ...], tuple[HeldItem, ...]] = ((), ())
        self._refusal: str | None = None
        self._is_lost = False
        self._is_to_drain = False
        self._drains = False

    def set_active_jobs(self, runs: tuple[MonitoredRun, ...], held: tuple[HeldItem, ...]) -> None:
        """Set the jobs that may be stopped, and all items that the agent has."""
        self._active = (runs, held)

    def set_draining(self, *, drains: bool) -> None:
        """Set whether the agent takes no more jobs; the server is told at once, if it answers, and ever after."""
        if drains != self._drains:
            self._drains = drains
            self._heartbeat.set_draining(drains=drains)
            threading.Thread(target=self._tell_status, name="status", daemon=True).start()

    def _tell_status(self) -> None:
        # The next heartbeat says it too.
        with contextlib.suppress(QueueServerError):
            self._heartbeat.send_status(self._active[0])

    def end(self) -> None:
        """Send no more heartbeats; the answer to an open request is ignored."""
        self._stopped.set()

    def run(self) -> None:
        """Send heartbeats until told to end."""
        with contextlib.suppress(Stopped):
            while not self._stopped.is_set():
                self._send_once()

    def _send_once(self) -> None:
        sent = () if self._outputs is None else self._outputs.wanted
        result = self._heartbeat.send(*self._active, sent)
        if not self._stopped.is_set():
            self._pass_on(result)
        self._caller.wait(result.pause_seconds)

    def _pass_on(self, result: HeartbeatResult) -> None:
        if result.refusal is not None:
            self._note_refusal(result.refusal)
        if result.stops or result.stop_polling:
            self._events.put(StopRequested(result.stops, result.stop_polling))
        if result.refusal is None:
            self._note_drain(result.stop_polling)
        if result.outputs and self._outputs is not None:
            self._outputs.want(result.outputs)
        if result.unknown:
            self._events.put(ItemsUnknown(result.unknown))
        if result.lost is not None and not self._is_lost:
            self._is_lost = True
            self._events.put(RegistrationLost(self._agent_id, result.lost))

    def _note_drain(self, is_wanted: bool) -> None:
        if self._is_to_drain and not is_wanted:
            self._events.put(DrainTakenBack())
        self._is_to_drain = is_wanted

    def _note_refusal(self, error: str) -> None:
        if error != self._refusal:
            self._refusal = error
            log.error("The queue server refused a heartbeat, or to tell what is to be stopped.", extra={"error": error})
