"""Whether the agent takes jobs, drains or leaves: what it was asked, and when it has left. Main thread only."""

import logging
import time
from enum import StrEnum

from launchd.agent.configuration import Configuration
from launchd.agent.events import Registered
from launchd.agent.job_table import JobTable
from launchd.agent.outbox import Outbox
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.status import SERVER_ASKED
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.daemon.systemd import SystemdNotifier

#: Seconds that workers may take to leave before they are ended; their workloads run on either way.
LEAVE_SECONDS = 12.0

#: Seconds that leaving waits for the last outcomes to be delivered; the next agent process delivers the rest.
FLUSH_SECONDS = 3.0

log = logging.getLogger(__name__)


class Mode(StrEnum):
    """What the agent is doing."""

    SERVING = "polling"
    DRAINING = "draining"
    LEAVING = "leaving"


class AgentMode:
    """The mode of one agent.

    Attributes:
        mode: what it is doing now.
        why_draining: the rest of a sentence that begins with "it drains because"; ``None`` while it does not.
    """

    def __init__(
        self,
        session: QueueServerSession,
        pool: WorkerPool,
        table: JobTable,
        outbox: Outbox,
        configuration: Configuration,
        notifier: SystemdNotifier,
    ) -> None:
        self.mode = Mode.SERVING
        self.why_draining: str | None = None
        self._session = session
        self._pool = pool
        self._table = table
        self._outbox = outbox
        self._configuration = configuration
        self._notifier = notifier
        self._leave_by = 0.0

    @property
    def is_serving(self) -> bool:
        """Whether it takes jobs."""
        return self.mode is Mode.SERVING

    @property
    def is_leaving(self) -> bool:
        """Whether it leaves; jobs run on."""
        return self.mode is Mode.LEAVING

    def drain(self) -> None:
        """Claim nothing more, and leave once all jobs are over."""
        self._end_claims(Mode.DRAINING, "of `launchd drain`")

    def drain_for_server(self) -> None:
        """Do as :meth:`drain` because the queue server wants it."""
        self._end_claims(Mode.DRAINING, SERVER_ASKED)

    def undrain(self) -> str | None:
        """Claim jobs again while the agent drains; returns why it cannot, as a sentence, or ``None``."""
        if self.mode is Mode.DRAINING and self.why_draining == SERVER_ASKED:
            return _still_asked(self._session.registered)
        self._serve_again("of `launchd undrain`")
        return None if self.is_serving else "The agent leaves already. Start it again."

    def undrain_for_server(self) -> None:
        """Claim jobs again, where it was the queue server that wanted the agent drained and does so no more."""
        # What was asked on this host is taken back on this host.
        if self.why_draining == SERVER_ASKED:
            self._serve_again("the queue server took back what it had asked for")

    def detach(self) -> None:
        """Leave; jobs run on."""
        self.leave("of `launchd detach`")

    def leave(self, why: str) -> None:
        """Leave; jobs run on. ``why`` is the rest of a sentence that begins with "it leaves because"."""
        if self.is_leaving:
            return
        self._end_claims(Mode.LEAVING, why)
        self._notifier.stopping()
        self._leave_by = time.monotonic() + LEAVE_SECONDS
        self._pool.detach_all()

    def has_left(self) -> bool:
        """Return whether nothing keeps the process any more; ends workers that take too long to leave."""
        if self.mode is Mode.DRAINING and not self._table and not self._outbox.waiting:
            self.leave("all jobs are over")
        if not self.is_leaving:
            return False
        now = time.monotonic()
        if len(self._pool):
            if now > self._leave_by:
                self._pool.kill_all("the agent leaves")
            return False
        return not self._outbox.waiting or now > self._leave_by - LEAVE_SECONDS + FLUSH_SECONDS

    def _end_claims(self, mode: Mode, why: str) -> None:
        if self.mode is mode or self.is_leaving:
            return
        self.mode = mode
        self.why_draining = why if mode is Mode.DRAINING else None
        self._session.stop_claiming(drains=mode is Mode.DRAINING)
        log.info("The agent takes no more jobs.", extra={"mode": str(mode), "why": why})

    def _serve_again(self, why: str) -> None:
        if self.mode is Mode.DRAINING:
            self.mode, self.why_draining = Mode.SERVING, None
            self._session.resume_claiming(self._configuration.in_force)
            log.info("The agent takes jobs again.", extra={"why": why})


def _still_asked(registered: Registered | None) -> str:
    if registered is None or not registered.capabilities.agent_control:
        return "The queue server asked the agent to drain: start it again once it has left."
    name = registered.agent_name
    return f"The queue server asked the agent to drain. That is taken back there: launchd agent undrain {name}"
