"""The state of the agent beside its jobs, put together from its parts when it is asked for. Main thread only."""

import time

from launchd.agent.configuration import Configuration
from launchd.agent.environments import Environments
from launchd.agent.job_controller import JobController
from launchd.agent.journal_commits import JournalCommits
from launchd.agent.mode import AgentMode
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.status import AgentState


class StateReader:
    """Reads the state of one agent, which starts when this is made."""

    def __init__(
        self,
        configuration: Configuration,
        mode: AgentMode,
        session: QueueServerSession,
        health: ServerHealth,
        environments: Environments,
        commits: JournalCommits,
        controller: JobController,
    ) -> None:
        self._configuration = configuration
        self._mode = mode
        self._session = session
        self._health = health
        self._environments = environments
        self._commits = commits
        self._controller = controller
        self._started_at = time.time()

    def read(self) -> AgentState:
        """Return the state of this moment."""
        path = self._configuration.path
        return AgentState(
            mode="starting" if self._session.registered is None else str(self._mode.mode),
            started_at=self._started_at,
            why_draining=self._mode.why_draining,
            config_path=None if path is None else str(path),
            registered=self._session.registered,
            contact=self._health.contact,
            seconds_since_contact=self._health.seconds_since_answer,
            environments=self._environments.status(),
            problem=self._commits.problem or self._health.problem or self._controller.grants.problem,
        )
