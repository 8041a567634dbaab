"""Configuration and policy of this host, applied to one job: work orders, refusals and limits.

Replaced as a whole when the configuration is reloaded; jobs keep the work orders they have.
"""

import socket
from pathlib import Path

from ipc.run_spec import RunSpec
from ipc.settings import PolicyRules
from ipc.states import JobState
from ipc.targets import VENV, choose_builder
from ipc.work_order import WorkOrder
from launchd.agent import policy
from launchd.agent.job_record import JobRecord, job_directory
from launchd.config import AgentConfig
from launchd.config.model import UNLIMITED

#: With ``max_jobs: -1`` this many jobs are asked for at a time.
UNLIMITED_CLAIM = 64


class AgentContext:
    """The configuration in force, with what is known of the host and of the queue server."""

    def __init__(self, config: AgentConfig, base_url: str, entity: str) -> None:
        self.config = config
        self.base_url = base_url
        self.entity = entity
        self.state_dir = Path(config.launchd.state_dir)
        self.hostname = socket.gethostname()

    def refusal(self, spec: RunSpec, queue: str) -> str | None:
        """Return why the host's policy does not allow ``spec`` from ``queue``, or ``None``."""
        settings = self.config.launchd
        return policy.refusal(
            spec.resource,
            bool(spec.overrides.entry_point) and not spec.runs_wandb_scheduler,
            spec.resource_args,
            spec.git.repo,
            settings.policy.for_queue(queue),
            self.config.secure_mode,
        )

    def free_slots(self, taken: int, limit: int) -> int:
        """Return how many more jobs fit beside ``taken`` under ``limit`` (``max_jobs`` or ``max_schedulers``)."""
        return UNLIMITED_CLAIM if limit == UNLIMITED else max(0, limit - taken)

    def job_directory(self, name: str) -> str:
        """Return the path of the directory of the job with this workload name."""
        return job_directory(self.state_dir, name)

    def phase_limit(self, state: JobState) -> float | None:
        """Return the seconds after which a worker in ``state`` is taken to hang, or ``None`` for no limit."""
        supervision = self.config.launchd.supervision
        return {
            JobState.FETCHING: supervision.fetch_timeout_seconds,
            JobState.BUILDING: supervision.build_timeout_seconds,
            JobState.SUBMITTING: supervision.submit_timeout_seconds,
        }.get(state)

    def work_order(self, job: JobRecord) -> WorkOrder:
        """Return the work order for ``job``."""
        settings = self.config.launchd
        rules = settings.policy.for_queue(job.queue)
        return WorkOrder(
            name=job.name,
            item_id=job.item_id,
            queue=job.queue,
            entity=self.entity,
            attempt=job.attempt,
            base_url=self.base_url,
            spec=job.spec,
            directory=self.job_directory(job.name),
            submitter_key=job.submitter_key,
            builder=self._builder(job.spec.resource, rules),
            jobs=settings.jobs,
            venv=settings.venv,
            docker=settings.docker,
            policy=rules,
            supervision=settings.supervision,
        )

    def _builder(self, resource: str, rules: PolicyRules) -> str | None:
        builder = choose_builder(resource, self.config.builder.type)
        return None if builder == VENV and not rules.allow_venv else builder
