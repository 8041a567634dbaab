"""Configuration and policy of this host, applied to one job: work orders, refusals and limits.

Replaced as a whole when the configuration is reloaded; jobs keep the work orders they have.
"""

import socket
from pathlib import Path

from ipc.policy_rules import PolicyRules
from ipc.run_spec import RunSpec
from ipc.states import JobState
from ipc.targets import VENV, choose_builder
from ipc.work_order import FETCH_DIRECTORY, JobUser, WorkOrder
from launchd.agent import policy
from launchd.agent.install_user import install_user
from launchd.agent.job_groups import JobGroups
from launchd.agent.job_record import JobRecord, job_directory
from launchd.agent.job_users import named_user, numbered_user
from launchd.config import AgentConfig
from launchd.config.images import push_target
from launchd.config.job_users import spare_pairs
from launchd.config.model import UNLIMITED

#: With ``max_jobs: -1`` this many jobs are asked for at a time.
UNLIMITED_CLAIM = 64

NO_GROUPS = JobGroups()


class AgentContext:
    """The configuration in force, with what is known of the host and of the queue server."""

    def __init__(self, config: AgentConfig, base_url: str, entity: str, groups: JobGroups = NO_GROUPS) -> None:
        self.config = config
        self.groups = groups
        self.base_url = base_url
        self.entity = entity
        self.state_dir = Path(config.launchd.state_dir)
        self.hostname = socket.gethostname()

    def rules(self, queue: str) -> PolicyRules:
        """Return the rules that hold for the jobs of ``queue``."""
        return self.config.launchd.policy.for_queue(queue)

    def jobs_to_keep(self) -> int:
        """Return how many jobs that are over are kept: as configured, or fewer where the users of jobs are few."""
        return min(self.config.launchd.jobs.keep_finished, spare_pairs(self.config))

    def refusal(self, spec: RunSpec, queue: str) -> str | None:
        """Return why the host's policy does not allow ``spec`` from ``queue``, or ``None``."""
        return policy.refusal(
            spec.resource,
            bool(spec.overrides.entry_point) and not spec.runs_wandb_scheduler,
            spec.resource_args,
            spec.git.repo,
            self.rules(queue),
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
            JobState.SUBMITTING: supervision.submit_timeout_seconds + self.config.launchd.hooks.longest_seconds,
        }.get(state)

    def runtime_limit(self, job: JobRecord) -> float:
        """Return how long, in seconds, ``job`` may run by the configuration of this host; 0 for no limit.

        A sweep scheduler may run as long as its sweep.
        """
        return 0.0 if job.spec.is_scheduler else self.config.launchd.jobs.runtime_limit(job.queue)

    def work_order(self, job: JobRecord) -> WorkOrder:
        """Return the work order for ``job``."""
        settings = self.config.launchd
        rules = self.rules(job.queue)
        user = self._user(job, rules)
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
            builder_config=self.config.builder,
            registry=push_target(self.config.builder, self.config.registry, self.config.environment),
            registry_access=settings.registry,
            environment=self.config.environment,
            aws=settings.aws,
            buildah=settings.buildah,
            jobs=settings.jobs,
            venv=settings.venv,
            docker=settings.docker,
            kubernetes=settings.kubernetes,
            vertex=settings.vertex,
            policy=rules,
            supervision=settings.supervision,
            hooks=settings.hooks,
            user=user,
            install_user=install_user(settings.venv.install_user, user),
            fetch_user=self._fetch_user(job),
            control_group=self.groups.group_of(job.name),
        )

    def _user(self, job: JobRecord, rules: PolicyRules) -> JobUser | None:
        if job.user is not None:
            return numbered_user(job.user, self.job_directory(job.name))
        return named_user(rules.run_as_user) if rules.run_as_user else None

    def _fetch_user(self, job: JobRecord) -> JobUser | None:
        directory = self.job_directory(job.name)
        return None if job.fetch_user is None else numbered_user(job.fetch_user, f"{directory}/{FETCH_DIRECTORY}")

    def _builder(self, resource: str, rules: PolicyRules) -> str | None:
        builder = choose_builder(resource, self.config.builder.type)
        return None if builder == VENV and not rules.allow_venv else builder
