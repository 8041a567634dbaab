"""What the threads of the server link are told: free slots, jobs, GPUs and where outputs are. Main thread only."""

from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.configuration import Configuration
from launchd.agent.events import SlotKind
from launchd.agent.job_controller import JobController
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal
from launchd.agent.journal_commits import JournalCommits
from launchd.agent.mode import AgentMode
from launchd.agent.outbox import Outbox
from launchd.agent.server_link.output_sender import OutputSource
from launchd.agent.server_link.session import QueueServerSession


class Publication:
    """What was told last, and what has changed since."""

    def __init__(
        self,
        session: QueueServerSession,
        registration: AgentRegistration,
        controller: JobController,
        table: JobTable,
        outbox: Outbox,
        journal: Journal,
        commits: JournalCommits,
        configuration: Configuration,
        mode: AgentMode,
    ) -> None:
        self._session = session
        self._registration = registration
        self._controller = controller
        self._table = table
        self._outbox = outbox
        self._journal = journal
        self._commits = commits
        self._configuration = configuration
        self._mode = mode
        self._published = (-1, -1)
        self._published_gpus: tuple[int, int] | None = None

    def publish(self) -> None:
        """Tell how many slots are free and which jobs there are, where that has changed."""
        versions = (self._table.version, self._outbox.version)
        if versions != self._published:
            self._published = versions
            self._registration.publish_items()
            self.supply_outputs(self._session.wanted_outputs)
        for job in self._controller.take_ended():
            self._session.send_end_of_output(job.item_id, self._output_of(job))
        grants = self._controller.grants
        if grants.version != self._published_gpus:
            self._published_gpus = grants.version
            self._session.set_gpus(grants.summary(), job_waits=grants.is_owing)
        for kind in SlotKind:
            self._session.set_free_slots(kind, self._free_slots(kind))

    def supply_outputs(self, items: tuple[str, ...]) -> None:
        """Tell where the outputs of these items are, at which a reader looks."""
        for item_id in items:
            active = self._table.get(item_id)
            job = active.job if active is not None else self._journal.job(item_id)
            self._session.supply_output(item_id, None if job is None else self._output_of(job))

    def _output_of(self, job: JobRecord) -> OutputSource:
        return OutputSource(self._controller.context.job_directory(job.name), job.is_over)

    def _free_slots(self, kind: SlotKind) -> int:
        if not self._mode.is_serving or self._commits.problem is not None:
            return 0
        schedulers, config = kind is SlotKind.SCHEDULER, self._configuration.in_force
        limit = config.max_schedulers if schedulers else config.max_jobs
        return self._controller.context.free_slots(self._table.count(schedulers), limit)
