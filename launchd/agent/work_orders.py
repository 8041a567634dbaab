"""Configuration and policy of this host, applied to one job: work orders, refusals and limits.

Replaced as a whole when the configuration is reloaded; jobs keep the work orders they have.
"""

import socket
from pathlib import Path

from ipc.run_spec import RunSpec
from ipc.states import JobState
from ipc.work_order import GitOptions, OutputLimits, VenvOptions, WorkOrder
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
        ours = self.config.launchd
        return policy.refusal(
            spec.resource,
            bool(spec.overrides.entry_point) and not spec.runs_wandb_scheduler,
            spec.resource_args,
            spec.git.repo,
            ours.policy.for_queue(queue),
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
        ours = self.config.launchd
        rights = ours.policy.for_queue(job.queue)
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
            run_as_user=rights.run_as_user,
            heartbeat_seconds=ours.supervision.worker_heartbeat_seconds,
            start_timeout_seconds=ours.jobs.start_timeout_seconds,
            stop_grace_seconds=ours.jobs.stop_grace_seconds,
            fetch_timeout_seconds=ours.supervision.fetch_timeout_seconds,
            output=OutputLimits(ours.jobs.output_max_bytes, ours.jobs.output_files),
            venv=self._venv(rights.allow_venv),
            git=GitOptions(rights.git_transports, rights.allow_local_git),
        )

    def _venv(self, allowed: bool) -> VenvOptions:
        ours = self.config.launchd.venv
        cache = ours.cache_dir or str(self.state_dir / "venvs")
        return VenvOptions(
            allowed, cache, ours.cache_max_bytes, ours.no_progress_timeout_seconds, ours.pip_args, ours.python
        )
