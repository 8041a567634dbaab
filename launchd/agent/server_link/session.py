"""The threads that speak to the queue server, started and stopped as a whole.

A registration comes first; pollers, the heartbeat loop and the reporter start once the agent is registered. Main thread
only.
"""

import threading
from collections.abc import Iterable

from launchd.agent.events import Claimed, EventQueue, Registered, SlotKind
from launchd.agent.job_record import JobRecord
from launchd.agent.server_link.heartbeat import HeartbeatLoop
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.protocol import LinkSettings, MonitoredRun, ServerProtocol
from launchd.agent.server_link.registration import RegistrationRequest, RegistrationThread, default_version
from launchd.agent.server_link.reporter import Reporter
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer
from launchd.config import AgentConfig

#: How long the agent waits at its end for the server to hear of it.
DEREGISTER_SECONDS = 2.0


class QueueServerSession:
    """The agent at one queue server, from its first registration to its end."""

    def __init__(self, server: QueueServer, events: EventQueue, secrets: tuple[str, ...]) -> None:
        """``secrets`` are masked in every text that is sent."""
        self.registered: Registered | None = None
        #: Starts with the first registration, and stays the same from then on.
        self.reporter: Reporter | None = None
        self._server = server
        self._events = events
        self._secrets = secrets
        self._permits = {kind: SlotPermits() for kind in SlotKind}
        self._registration: RegistrationThread | None = None
        self._protocol: ServerProtocol | None = None
        self._pollers: tuple[Poller, ...] = ()
        self._heartbeat: HeartbeatLoop | None = None
        self._active_jobs: tuple[MonitoredRun, ...] = ()
        self._claims_ended = False

    def start(self, config: AgentConfig, remembered_id: str | None, known_items: tuple[str, ...]) -> None:
        """Register for the queues of ``config`` and claim from them.

        An earlier registration claims nothing more; its heartbeat, which hears stop requests, ends with the new one.
        """
        if self._registration is not None:
            self._registration.stopped.set()
        self._end_pollers()
        request = RegistrationRequest(
            config.entity, config.queues, config.public(), default_version(), remembered_id, known_items
        )
        self._registration = RegistrationThread(self._server, request, self._events, self._protocol)
        self._registration.start()

    def on_registered(self, registered: Registered, config: AgentConfig) -> None:
        """Start claiming, sending heartbeats and reporting; a registration that was superseded is ignored."""
        registration = self._registration
        if registration is None or registration.protocol is None or registration.registered is not registered:
            return
        protocol = self._protocol = registration.protocol
        settings = self._settings(config)
        self.registered = registered
        self._end_heartbeat()
        self._heartbeat = HeartbeatLoop(protocol, registered, settings, self._events)
        self._heartbeat.set_active_jobs(self._active_jobs)
        self._heartbeat.start()
        if self.reporter is None:
            self.reporter = Reporter(protocol, registered, settings, self._events)
            self.reporter.start()
        if not self._claims_ended:
            self._start_pollers(protocol, registered, settings)

    def count_claim(self, claimed: Claimed) -> None:
        """Note that the main thread counts the slots of these items from now on."""
        self._permits[claimed.kind].count(len(claimed.items))

    def stop_claiming(self) -> None:
        """Claim no more, for good; a registration goes on, stop requests are still heard, outcomes still reported."""
        self._claims_ended = True
        self._end_pollers()

    def _end_pollers(self) -> None:
        for poller in self._pollers:
            poller.end()
        self._pollers = ()

    def set_free_slots(self, kind: SlotKind, slots: int) -> None:
        """Permit claims for the free slots of ``kind``, as the main thread counts them now."""
        self._permits[kind].grant(slots)

    def set_active_jobs(self, jobs: Iterable[JobRecord]) -> None:
        """Set the jobs that the server may want stopped."""
        self._active_jobs = tuple(_monitored(job) for job in jobs)
        if self._heartbeat is not None:
            self._heartbeat.set_active_jobs(self._active_jobs)

    def close(self) -> None:
        """End all threads and tell the server, if it answers soon, that the agent has ended."""
        self._stop_loops()
        if self.reporter is not None:
            self.reporter.end()
        if self._protocol is not None and self.registered is not None and self.registered.agent_id:
            arguments = (self._protocol, self.registered.agent_id)
            goodbye = threading.Thread(target=_deregister, args=arguments, daemon=True)
            goodbye.start()
            goodbye.join(DEREGISTER_SECONDS)

    def _start_pollers(self, protocol: ServerProtocol, registered: Registered, settings: LinkSettings) -> None:
        for permits in self._permits.values():
            # Nothing is claimed before the main thread has committed the agent's id: it grants permits after that.
            permits.grant(0)
        self._pollers = tuple(
            Poller(protocol, kind, self._permits[kind], registered, settings, self._events)
            for kind in protocol.claim_kinds
        )
        for poller in self._pollers:
            poller.start()

    def _stop_loops(self) -> None:
        self.stop_claiming()
        if self._registration is not None:
            self._registration.stopped.set()
        self._end_heartbeat()

    def _end_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.end()
        self._heartbeat = None

    def _settings(self, config: AgentConfig) -> LinkSettings:
        supervision = config.launchd.supervision
        return LinkSettings(
            wait_seconds=supervision.wait_seconds,
            poll_seconds=supervision.poll_seconds,
            stopped_run_timeout=config.stopped_run_timeout,
            init_grace_seconds=config.launchd.jobs.init_grace_seconds,
            secrets=self._secrets,
        )


def _monitored(job: JobRecord) -> MonitoredRun:
    spec = job.spec
    return MonitoredRun(job.item_id, spec.entity, spec.project, spec.run_id, job.stop_reason is not None)


def _deregister(protocol: ServerProtocol, agent_id: str) -> None:
    try:
        protocol.deregister(agent_id)
    except QueueServerError:
        # The server notices the silence.
        return
