"""Our threads at the queue server, as one thing: started, told, ended.

The poller registers and claims; once the server knows us, the watcher and the
reporter join it. Main thread only.
"""

import threading
from collections import Counter
from collections.abc import Iterable

from launchd.agent.events import Claimed, EventQueue, Registered, SlotKind
from launchd.agent.job_record import JobRecord
from launchd.agent.outbox import Outbox
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.heartbeat import HeartbeatLoop, MonitoredRun
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.registration import RegistrationRequest, default_version
from launchd.agent.server_link.reporter import Reporter
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer
from launchd.config import AgentConfig

#: How long saying goodbye may take: it is a courtesy.
DEREGISTER_SECONDS = 2.0


class QueueServerSession:
    """Speaks to one queue server for the supervisor."""

    def __init__(self, server: QueueServer, events: EventQueue, secrets: tuple[str, ...]) -> None:
        """``secrets`` are in nothing that is sent as a text."""
        self._server = server
        self._events = events
        self._secrets = secrets
        self._agent_run: AgentRun | None = None
        self._poller: Poller | None = None
        self._heartbeat: HeartbeatLoop | None = None
        self._reporter: Reporter | None = None
        self._claims_read: Counter[SlotKind] = Counter()
        self.registered: Registered | None = None

    def start(self, config: AgentConfig, remembered_id: str | None, known_items: tuple[str, ...]) -> None:
        """Register with the queues of ``config`` and claim from them; ends what was started before."""
        self._stop_loops()
        supervision = config.launchd.supervision
        self._claims_read = Counter()
        self._poller = Poller(
            self._server,
            _registration_request(config, remembered_id, known_items),
            self._events,
            wait_seconds=supervision.wait_seconds,
            poll_seconds=supervision.poll_seconds,
        )
        self._poller.start()

    def on_registered(self, registered: Registered, config: AgentConfig, outbox: Outbox) -> None:
        """Go on once the server knows us: hear its orders, and report."""
        supervision = config.launchd.supervision
        # Its owner is the reporter, which stays the same whatever we register as later.
        agent_run = self._agent_run = self._agent_run or AgentRun(self._server, registered)
        self.registered = registered
        self._heartbeat = HeartbeatLoop(
            self._server,
            registered,
            self._events,
            agent_run,
            wait_seconds=supervision.wait_seconds,
            poll_seconds=supervision.poll_seconds,
            stopped_run_timeout=config.stopped_run_timeout,
        )
        self._heartbeat.start()
        if self._reporter is None:
            self._reporter = Reporter(
                self._server,
                registered,
                self._events,
                agent_run=agent_run,
                secrets=self._secrets,
                init_grace_seconds=config.launchd.jobs.init_grace_seconds,
            )
            self._reporter.start()
            outbox.connect(self._reporter)

    def count_claim(self, claimed: Claimed) -> None:
        """Note that the main thread has counted the items of one more claim."""
        if self._poller is not None and claimed.poller == self._poller.number:
            self._claims_read[claimed.kind] += 1

    def stop_claiming(self) -> None:
        """Claim no more; orders are still heard and outcomes still told."""
        if self._poller is not None:
            self._poller.end()

    def set_free_slots(self, kind: SlotKind, slots: int) -> None:
        """Say how many slots are free for items of ``kind``."""
        if self._poller is not None:
            self._poller.set_free_slots(kind, slots, self._claims_read[kind])

    def set_active_jobs(self, jobs: Iterable[JobRecord]) -> None:
        """Say which jobs may be ordered to stop."""
        if self._heartbeat is not None:
            self._heartbeat.set_active_jobs(
                tuple(
                    MonitoredRun(
                        job.item_id, job.spec.entity, job.spec.project, job.spec.run_id, job.stop_reason is not None
                    )
                    for job in jobs
                )
            )

    def close(self) -> None:
        """End all threads and tell the server, if it listens, that we are gone."""
        self._stop_loops()
        if self._reporter is not None:
            self._reporter.end()
        if self.registered is not None and self.registered.agent_id:
            goodbye = threading.Thread(target=self._deregister, args=(self.registered.agent_id,), daemon=True)
            goodbye.start()
            goodbye.join(DEREGISTER_SECONDS)

    def _stop_loops(self) -> None:
        self.stop_claiming()
        if self._heartbeat is not None:
            self._heartbeat.end()
        self._heartbeat = None

    def _deregister(self, agent_id: str) -> None:
        try:
            self._server.update_agent(agent_id, "KILLED")
            if self._agent_run is not None:
                self._agent_run.end()
        except QueueServerError:
            # It will notice by our silence.
            return


def _registration_request(
    config: AgentConfig, remembered_id: str | None, known_items: tuple[str, ...]
) -> RegistrationRequest:
    return RegistrationRequest(
        config.entity, config.queues, config.public(), default_version(), remembered_id, known_items
    )
