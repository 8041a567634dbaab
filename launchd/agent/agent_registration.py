"""As which agent this process is known to the queue server, and what it takes along when it registers.

Main thread only; the requests are those of the session's threads.
"""

import logging

from launchd.agent.events import Registered, RegistrationLost
from launchd.agent.identity import next_identity
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outbox
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.work_orders import AgentContext
from launchd.config import AgentConfig

#: The key of the journal's meta table under which the agent id is kept.
AGENT_ID = "agent_id"

log = logging.getLogger(__name__)


class AgentRegistration:
    """The registrations of one process. Raises ``JournalError`` when made, where the journal cannot be read."""

    def __init__(
        self,
        session: QueueServerSession,
        controller: JobController,
        journal: Journal,
        table: JobTable,
        outbox: Outbox,
    ) -> None:
        self._session = session
        self._controller = controller
        self._journal = journal
        self._table = table
        self._outbox = outbox
        self._identity = next_identity(journal)
        self._agent_id = journal.meta(AGENT_ID)

    def start(self, config: AgentConfig) -> None:
        """Register for the queues of ``config``, as the agent before where there is one."""
        self.publish_items()
        self._session.start(config, self._identity, self._agent_id)

    def publish_items(self) -> None:
        """Tell the session which jobs there are, and which outcomes are undelivered."""
        self._session.set_active_jobs(self._table.jobs(), self._outbox.held())

    def on_registered(self, registered: Registered, config: AgentConfig) -> None:
        """Begin to work as the registered agent, and settle what the registration said of its items."""
        context = self._controller.context
        self._controller.context = AgentContext(config, context.base_url, registered.entity, context.groups)
        self._agent_id = registered.agent_id
        self._journal.set_meta(AGENT_ID, registered.agent_id)
        # Committed before anything is claimed: an agent that does not know the id it claimed under cannot give it back.
        self._journal.request_commit()
        self._session.on_registered(registered, config)
        if self._session.reporter is not None:
            self._outbox.connect(self._session.reporter)
        self._controller.on_registered(registered.resumed, registered.agent_id)

    def on_lost(self, lost: RegistrationLost, config: AgentConfig) -> None:
        """Register again, unless that is under way or ``lost`` is about an agent of before."""
        registered = self._session.registered
        is_present = registered is not None and registered.agent_id == lost.agent_id
        if is_present and not self._session.is_registering:
            log.warning("The agent registers again.", extra={"agent_id": lost.agent_id, "why": lost.reason})
            self.start(config)

    @property
    def is_idle(self) -> bool:
        """Whether the process was never registered, has no job, and has nothing to tell the queue server."""
        return self._session.registered is None and not self._table and not self._outbox.waiting

    def on_refused(self, config: AgentConfig) -> None:
        """Report as the agent before although the registration is refused: what is to be told needs no queue."""
        reporter = self._session.start_reporter(config)
        if reporter is not None:
            self._outbox.connect(reporter)
