"""The configuration of an agent, as frozen values with their defaults.

Owns names, units and defaults, but for the sections of `launchd:` that reach a worker (`ipc.settings`); `schema.py`
fills them and reports problems. The top level is W&B's `launch-config.yaml` (hyphens in its keys become underscores
here); the settings that W&B's agent does not have are in `LaunchdConfig`. Fields that end in `_seconds` are in seconds,
in `_bytes` in bytes. No I/O.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ipc.gpus import Gpu
from ipc.policy_rules import PolicyRules
from ipc.settings import (
    AwsConfig,
    BuildahConfig,
    BuilderConfig,
    DockerConfig,
    EnvironmentConfig,
    HooksConfig,
    JobsConfig,
    KubernetesConfig,
    RegistryAccess,
    RegistryConfig,
    SupervisionConfig,
    VenvConfig,
    VertexConfig,
)

#: No limit, as a value of `max_jobs` and `max_schedulers` (W&B's).
UNLIMITED = -1


class PolicyConfig(PolicyRules, frozen=True):
    """The rules for all queues, and complete rules for each queue that has its own."""

    queues: Mapping[str, PolicyRules] = {}

    def for_queue(self, queue: str) -> PolicyRules:
        """The rules that hold for items of `queue`."""
        return self.queues[queue] if queue in self.queues else self._for_all_queues()

    def _for_all_queues(self) -> PolicyRules:
        return PolicyRules(**{name: getattr(self, name) for name in PolicyRules.__struct_fields__})


class GpusConfig(msgspec.Struct, frozen=True):
    """``launchd.gpus``: which GPUs of this host the agent gives out, and when it does not.

    ``manage`` of None: the agent gives them out where a driver is loaded and can be asked. ``devices`` are used instead
    of what the driver says. The probe looks every ``probe_seconds``; a driver that does not answer for
    ``probe_timeout_seconds`` hangs. After ``fast_failures`` jobs in a row (0: never) that failed within
    ``fast_failure_seconds`` a GPU is set aside for ``set_aside_seconds``, twice as long each further time.
    """

    manage: bool | None = None
    devices: tuple[Gpu, ...] = ()
    probe_seconds: float = 5.0
    probe_timeout_seconds: float = 30.0
    fast_failures: int = 5
    fast_failure_seconds: float = 30.0
    set_aside_seconds: float = 600.0


class HistoryConfig(msgspec.Struct, frozen=True):
    """``launchd.history``: of how many jobs that ended, and for how many days, the agent keeps what they used."""

    keep_jobs: int = 100_000
    keep_days: float = 400.0


class MetricsConfig(msgspec.Struct, frozen=True):
    """``launchd.metrics``: where Prometheus reads the agent's metrics, ``ADDRESS:PORT`` or ``unix:/PATH``.

    ``listen`` of None: nowhere. Only with ``remote`` may it be an address that other machines reach.
    """

    listen: str | None = None
    remote: bool = False


class LaunchdConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The section `launchd`: settings that W&B's agent does not have."""

    base_url: str | None = None
    api_key_file: str | None = None
    state_dir: str
    runtime_dir: str
    log_format: Literal["text", "json"] = "text"
    jobs: JobsConfig = JobsConfig()
    venv: VenvConfig = VenvConfig()
    docker: DockerConfig = DockerConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    vertex: VertexConfig = VertexConfig()
    registry: RegistryAccess = RegistryAccess()
    buildah: BuildahConfig = BuildahConfig()
    aws: AwsConfig = AwsConfig()
    policy: PolicyConfig = PolicyConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    gpus: GpusConfig = GpusConfig()
    history: HistoryConfig = HistoryConfig()
    hooks: HooksConfig = HooksConfig()
    metrics: MetricsConfig = MetricsConfig()


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The whole configuration of an agent. `max_jobs` and `max_schedulers` of -1 mean no limit.

    `entity` None: the default entity of the API key. `stopped_run_timeout`: seconds between a request to stop, made
    through the run, and the end of the job.
    """

    entity: str | None = None
    queues: tuple[str, ...] = ()
    max_jobs: int = 1
    max_schedulers: int = 1
    secure_mode: bool = False
    verbosity: int = 0
    stopped_run_timeout: int = 60
    builder: BuilderConfig = BuilderConfig()
    registry: RegistryConfig | None = None
    environment: EnvironmentConfig | None = None
    launchd: LaunchdConfig

    def public(self) -> dict[str, Any]:
        """Return the part that is sent to the server for its users to see: no paths, no policy, no secrets."""
        return {
            "entity": self.entity,
            "queues": list(self.queues),
            "max_jobs": self.max_jobs,
            "max_schedulers": self.max_schedulers,
            "secure_mode": self.secure_mode,
            "stopped_run_timeout": self.stopped_run_timeout,
        }
