"""The configuration in force, and how another one takes its place while jobs run. Main thread only."""

import logging
from collections.abc import Callable
from pathlib import Path

from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.host_locks import HostLocks
from launchd.agent.job_controller import JobController
from launchd.agent.job_groups import JobGroups, find_job_groups
from launchd.agent.job_users import take_numbers
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.config import AgentConfig, ConfigError, LoadedConfig
from launchd.daemon.systemd import SystemdNotifier

#: Keys of ``launchd`` that a reload does not change.
RESTART_ONLY_KEYS = ("base_url", "api_key_file", "state_dir", "runtime_dir", "log_format", "gpus", "metrics")

log = logging.getLogger(__name__)


class Configuration:
    """The configuration of one agent; ``read`` reads its file again."""

    def __init__(
        self,
        loaded: LoadedConfig,
        read: Callable[[], LoadedConfig],
        locks: HostLocks,
        controller: JobController,
        pool: WorkerPool,
        registration: AgentRegistration,
        notifier: SystemdNotifier,
    ) -> None:
        self._loaded = loaded
        self._read = read
        self._locks = locks
        self._controller = controller
        self._pool = pool
        self._registration = registration
        self._notifier = notifier

    @property
    def in_force(self) -> AgentConfig:
        """The values in force."""
        return self._loaded.config

    @property
    def path(self) -> Path | None:
        """The file that they are from; ``None`` for the defaults."""
        return self._loaded.path

    def reload(self) -> str | None:
        """Read the configuration again; returns why it stays as it was, as a sentence, or ``None``."""
        self._notifier.reloading()
        problem = self._reload()
        self._notifier.ready()
        return problem

    def _reload(self) -> str | None:
        try:
            loaded = self._read()
        except ConfigError as error:
            log.error("The new configuration is wrong; the old one stays in force.", extra={"why": str(error)})
            return str(error)
        shared = take_numbers(self._locks, loaded.config)
        if shared is not None:
            log.error("The old configuration stays in force.", extra={"why": shared})
            return shared
        self._warn_of_restart_only(loaded.config)
        self._loaded = loaded
        self._controller.context = self._context_for(loaded.config)
        self._pool.config = loaded.config.launchd.supervision
        # Also for the same names: queues may have been deleted and made again since.
        self._registration.start(loaded.config)
        log.info("The configuration was read again.", extra={"queues": list(loaded.config.queues)})
        return None

    def _context_for(self, config: AgentConfig) -> AgentContext:
        before = self._controller.context
        groups = find_job_groups(config.launchd.jobs, before.state_dir)
        if groups.shortcoming != before.groups.shortcoming:
            log_groups(groups)
        return AgentContext(config, before.base_url, before.entity, groups)

    def _warn_of_restart_only(self, config: AgentConfig) -> None:
        """Log which changes a reload cannot bring."""
        before, after = self.in_force.launchd, config.launchd
        waiting = [name for name in RESTART_ONLY_KEYS if getattr(before, name) != getattr(after, name)]
        if waiting:
            log.warning("Some changes wait for the agent's next start.", extra={"keys": waiting})


def log_groups(groups: JobGroups) -> None:
    """Log whether each job has a control group of its own, and what of a job is not held."""
    if groups.shortcoming is None:
        log.info("Each job has a control group of its own.", extra={"below": groups.root})
    else:
        level = logging.WARNING if groups.limits_not_held else logging.INFO
        log.log(level, "Not everything of a job is held.", extra={"why": groups.shortcoming})
