"""The threads that speak to the queue server, started and stopped as a whole.

A registration comes first; pollers, the heartbeat loop and the reporter start once the agent is registered. Main thread
only.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable

import msgspec

from ipc.gpus import GpuSummary
from launchd.agent.deliveries import held_item
from launchd.agent.events import Claimed, EventQueue, Registered, SlotKind
from launchd.agent.job_record import JobRecord
from launchd.agent.server_link.gpu_reporter import GpuReporter
from launchd.agent.server_link.heartbeat import HeartbeatLoop
from launchd.agent.server_link.output_sender import OutputSender, OutputSource
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.protocol import LinkSettings, MonitoredRun, ServerProtocol
from launchd.agent.server_link.registration import RegistrationRequest, RegistrationThread
from launchd.agent.server_link.reporter import Reporter
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import AgentGpus, AgentIdentity, GpuKind, HeldItem, QueueServer
from launchd.config import AgentConfig

#: How long the agent waits at its end for the server to hear of it.
DEREGISTER_SECONDS = 2.0

#: So many registrations begin within so many seconds, a further one waits: a server that forgets the agent again and
#: again, such as two databases behind one address, must not be flooded.
MOST_REGISTRATIONS = 5
REGISTRATIONS_SECONDS = 60.0


class QueueServerSession:
    """The agent at one queue server, from its first registration to its end."""

    def __init__(self, server: QueueServer, events: EventQueue, secrets: tuple[str, ...]) -> None:
        """``secrets`` are masked in every text that is sent."""
        self.registered: Registered | None = None
        #: Starts with the first registration, or with :meth:`start_reporter`, and stays the same from then on.
        self.reporter: Reporter | None = None
        self._server = server
        self._events = events
        self._secrets = secrets
        self._permits = {kind: SlotPermits() for kind in SlotKind}
        self._registration: RegistrationThread | None = None
        self._protocol: ServerProtocol | None = None
        self._pollers: tuple[Poller, ...] = ()
        self._gpus: AgentGpus | None = None
        self._job_waits_for_gpus = False
        self._gpu_reporter: GpuReporter | None = None
        self._heartbeat: HeartbeatLoop | None = None
        self._outputs: OutputSender | None = None
        self._monitored: tuple[MonitoredRun, ...] = ()
        self._held: tuple[HeldItem, ...] = ()
        self._incarnation = ""
        self._registrations: deque[float] = deque(maxlen=MOST_REGISTRATIONS)
        self._claims_ended = False
        self._drains = False

    def start(self, config: AgentConfig, identity: AgentIdentity, remembered_id: str | None) -> None:
        """Register for the queues of ``config``, as the process of ``identity``, and claim from them.

        ``remembered_id`` is the id of the agent before; its items are those of :meth:`set_active_jobs`. An earlier
        registration claims nothing more; its heartbeat, which hears stop requests, ends with the new one. A
        registration that is under way is superseded.
        """
        if self._registration is not None:
            self._registration.stopped.set()
        self._end_pollers()
        self._incarnation = identity.incarnation
        request = RegistrationRequest(config.entity, config.queues, config.public(), identity, remembered_id)
        self._registration = RegistrationThread(
            self._server, request, self._events, self._protocol, self._held, self._registration_delay()
        )
        self._registration.start()

    def _registration_delay(self) -> float:
        now = time.monotonic()
        is_often = len(self._registrations) == MOST_REGISTRATIONS
        begins_at = max(now, self._registrations[0] + REGISTRATIONS_SECONDS) if is_often else now
        self._registrations.append(begins_at)
        return begins_at - now

    @property
    def is_registering(self) -> bool:
        """Whether a registration is under way, or its event ``Registered`` was not handed over yet."""
        return self._registration is not None

    def start_reporter(self, config: AgentConfig) -> Reporter | None:
        """Report as the agent before, and hear its stops, while the registration is refused; claims nothing.

        For the event ``RegistrationRefused``. Returns the reporter, or ``None`` where the agent before cannot be
        continued: there was none, or the server does not know it, or refuses the key.
        """
        registration = self._registration
        if self.reporter is None and registration is not None:
            protocol, remembered = registration.protocol, registration.remembered
            if protocol is not None and remembered is not None:
                settings = self._settings(config)
                self._start_heartbeat(protocol, remembered, settings)
                self._start_reporter(protocol, remembered, settings)
        return self.reporter

    def on_registered(self, registered: Registered, config: AgentConfig) -> None:
        """Start claiming, sending heartbeats and reporting; a registration that was superseded is ignored."""
        registration = self._registration
        if registration is None or registration.protocol is None or registration.registered is not registered:
            return
        protocol = self._protocol = registration.protocol
        settings = self._settings(config)
        self.registered, self._registration = registered, None
        self._start_heartbeat(protocol, registered, settings)
        if self.reporter is None:
            self._start_reporter(protocol, registered, settings)
        else:
            self.reporter.renew(registered, settings)
        if not self._claims_ended:
            self._start_pollers(protocol, registered, settings)

    def count_claim(self, claimed: Claimed) -> None:
        """Note that the main thread counts the slots of these items from now on."""
        self._permits[claimed.kind].count(len(claimed.items))

    def stop_claiming(self, *, drains: bool = False) -> None:
        """Claim no more; a registration goes on, stop requests are still heard, outcomes still reported.

        With ``drains``, the server is told, as others look there.
        """
        self._claims_ended = True
        self._end_pollers()
        self._set_draining(drains=drains or self._drains)

    def resume_claiming(self, config: AgentConfig) -> None:
        """Claim again after :meth:`stop_claiming`: at once, or with the end of the registration that is under way."""
        self._claims_ended = False
        self._set_draining(drains=False)
        protocol, registered = self._protocol, self.registered
        if protocol is not None and registered is not None and not self._pollers and not self.is_registering:
            self._start_pollers(protocol, registered, self._settings(config))

    def _set_draining(self, *, drains: bool) -> None:
        self._drains = drains
        if self._heartbeat is not None:
            self._heartbeat.set_draining(drains=drains)

    def _end_pollers(self) -> None:
        for poller in self._pollers:
            poller.end()
        self._pollers = ()
        if self._gpu_reporter is not None:
            self._gpu_reporter.end()
            self._gpu_reporter = None

    def set_free_slots(self, kind: SlotKind, slots: int) -> None:
        """Permit claims for the free slots of ``kind``, as the main thread counts them now, and its GPUs."""
        self._permits[kind].grant(slots if self._may_claim() else 0, self._gpus)

    def set_gpus(self, gpus: GpuSummary, *, job_waits: bool) -> None:
        """Set the GPUs that are free for further jobs; comes before :meth:`set_free_slots`.

        ``job_waits`` says that a job on this host waits for some: it gets what becomes free, so that nothing is free
        for others. Without a call, any item is claimed.
        """
        self._job_waits_for_gpus = job_waits
        version = 1 if self._gpus is None else self._gpus.version + 1
        told = _told(gpus, version, none_free=job_waits)
        if self._gpus is not None and msgspec.structs.replace(told, version=self._gpus.version) == self._gpus:
            return
        self._gpus = told
        self._start_gpu_reporter()
        if self._gpu_reporter is not None:
            self._gpu_reporter.report(told)

    def _may_claim(self) -> bool:
        """Whether items are claimed: where the server cannot be asked for what fits, only while some GPU is free.

        What does not fit waits here, and nothing more is claimed meanwhile, so that items keep their order.
        """
        gpus, protocol = self._gpus, self._protocol
        is_private = self.registered is not None and self.registered.capabilities.is_private
        if gpus is None or protocol is None or protocol.claims_what_fits or is_private:
            return True
        return gpus.free > 0 if gpus.total else not self._job_waits_for_gpus

    def set_active_jobs(self, jobs: Iterable[JobRecord], unreported: Iterable[HeldItem]) -> None:
        """Set the jobs that the server may want stopped, and the items beside theirs that the agent has."""
        active = tuple(jobs)
        self._monitored = tuple(_monitored(job) for job in active)
        items = {item.item_id: item for item in unreported} | {job.item_id: held_item(job) for job in active}
        self._held = tuple(items.values())
        if self._registration is not None:
            self._registration.held = self._held
        if self._heartbeat is not None:
            self._heartbeat.set_active_jobs(self._monitored, self._held)

    @property
    def wanted_outputs(self) -> tuple[str, ...]:
        """The items at whose output a reader looks."""
        return () if self._outputs is None else self._outputs.wanted

    def supply_output(self, item_id: str, source: OutputSource | None) -> None:
        """Say where the output of a wanted item is; ``None``: this agent knows no such job."""
        if self._outputs is not None:
            self._outputs.supply(item_id, source)

    def send_end_of_output(self, item_id: str, source: OutputSource) -> None:
        """Have the queue server keep the end of the output of a job that is over, where it does such."""
        if self._outputs is not None:
            self._outputs.send_end(item_id, source)

    def close(self) -> None:
        """End all threads and tell the server, if it answers soon, that the agent has ended."""
        self._stop_loops()
        if self._outputs is not None:
            self._outputs.finish(DEREGISTER_SECONDS)
        if self.reporter is not None:
            self.reporter.end()
        if self._protocol is not None and self.registered is not None and self.registered.agent_id:
            arguments = (self._protocol, self.registered.agent_id, self._incarnation)
            goodbye = threading.Thread(target=_deregister, args=arguments, daemon=True)
            goodbye.start()
            goodbye.join(DEREGISTER_SECONDS)

    def _start_heartbeat(self, protocol: ServerProtocol, registered: Registered, settings: LinkSettings) -> None:
        self._end_heartbeat()
        self._start_outputs(protocol, registered)
        self._heartbeat = HeartbeatLoop(protocol, registered, settings, self._events, self._outputs)
        self._heartbeat.set_active_jobs(self._monitored, self._held)
        self._heartbeat.start()
        self._heartbeat.set_draining(drains=self._drains)

    def _start_outputs(self, protocol: ServerProtocol, registered: Registered) -> None:
        if self._outputs is not None:
            self._outputs.end()
            self._outputs = None
        if protocol.takes_output:
            self._outputs = OutputSender(protocol, registered.agent_id, self._incarnation, self._events)
            self._outputs.start()

    def _start_reporter(self, protocol: ServerProtocol, registered: Registered, settings: LinkSettings) -> None:
        self.reporter = Reporter(protocol, registered, settings, self._events)
        self.reporter.start()

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
        self._start_gpu_reporter()

    def _start_gpu_reporter(self) -> None:
        """Start it once claims may wait for GPUs. The first claim tells them itself."""
        protocol, registered = self._protocol, self.registered
        if self._gpu_reporter is not None or not self._pollers or protocol is None or registered is None:
            return
        if protocol.claims_what_fits and self._gpus is not None and self._gpus.total > 0:
            self._gpu_reporter = GpuReporter(protocol, registered.agent_id, self._incarnation, self._events)
            self._gpu_reporter.start()

    def _stop_loops(self) -> None:
        self._claims_ended = True
        self._end_pollers()
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
            incarnation=self._incarnation,
        )


def _told(gpus: GpuSummary, version: int, *, none_free: bool) -> AgentGpus:
    kinds = tuple(GpuKind(**msgspec.structs.asdict(kind)) for kind in gpus.kinds)
    if none_free:
        return AgentGpus(version, tuple(msgspec.structs.replace(kind, free=0) for kind in kinds), gpus.devices)
    return AgentGpus(version, kinds, gpus.devices, gpus.free_devices)


def _monitored(job: JobRecord) -> MonitoredRun:
    spec = job.spec
    return MonitoredRun(job.item_id, spec.entity, spec.project, spec.run_id, job.stop_reason is not None)


def _deregister(protocol: ServerProtocol, agent_id: str, incarnation: str) -> None:
    try:
        protocol.deregister(agent_id, incarnation)
    except QueueServerError:
        # The server notices the silence.
        return
