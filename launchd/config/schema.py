"""The frozen values of the configuration's sections, filled from their keys, and what must fit together within one.

Every problem goes into the diagnostics.
"""

from typing import Any

from ipc.settings import (
    AwsConfig,
    BuildahConfig,
    BuilderConfig,
    DockerConfig,
    EngineCleanupConfig,
    EnvironmentConfig,
    HooksConfig,
    JobLimits,
    JobsConfig,
    KubernetesConfig,
    PodBuildsConfig,
    QueueJobs,
    RegistryAccess,
    RegistryConfig,
    SupervisionConfig,
    VenvConfig,
    VertexConfig,
)
from ipc.targets import BUILDER_TYPES
from launchd.config import validators
from launchd.config.diagnostics import Diagnostics, nearest_name
from launchd.config.images import ECR, registry_of
from launchd.config.keys import (
    AWS,
    BUILDAH,
    BUILDER,
    CLEANUP,
    DOCKER,
    ENVIRONMENT,
    GPUS,
    HISTORY,
    HOOKS,
    JOBS,
    KUBERNETES,
    LIMITS,
    METRICS,
    POD_BUILDS,
    QUEUE_JOBS,
    REGISTRY,
    REGISTRY_ACCESS,
    SUPERVISION,
    VENV,
    VERTEX,
)
from launchd.config.model import GpusConfig, HistoryConfig, MetricsConfig
from launchd.config.section_reader import fill, mapping
from launchd.metrics.address import parse_address


def builder(diagnostics: Diagnostics, section: Any) -> BuilderConfig:
    """Read W&B's `builder`."""
    values = fill(diagnostics, "builder.", section, BUILDER)
    if ("secret_name" in values) != ("secret_key" in values):
        diagnostics.refuse("builder", None, "secret-name and secret-key go together: give both or neither")
    if section and isinstance(section, dict) and "type" not in values and not diagnostics.has_refused("builder.type"):
        diagnostics.refuse("builder.type", None, "is missing", f"It is {validators.either(BUILDER_TYPES)}.")
    _warn_of_unknown_registry(diagnostics, "builder.destination", values.get("destination"))
    return BuilderConfig(**values)


def registry(diagnostics: Diagnostics, section: Any) -> RegistryConfig | None:
    """Read W&B's `registry`. ECR's repository is `repo_name` in its schema and `repository` in its code: both count."""
    values = fill(diagnostics, "registry.", section, REGISTRY)
    if "repo_name" in values:
        values.setdefault("repository", values.pop("repo_name"))
    _warn_of_unknown_registry(diagnostics, "registry.uri", values.get("uri"))
    if values.get("type") == ECR and values.get("repository", "").endswith("."):
        # The documentation of W&B has such a name among its examples.
        values["repository"] = values["repository"].rstrip(".")
        meant = f"no repository of ECR has a name with a dot at its end; it is read as {values['repository']}."
        diagnostics.warn("registry.repository", meant)
    return RegistryConfig(**values) if values else None


def environment(diagnostics: Diagnostics, section: Any) -> EnvironmentConfig | None:
    """Read W&B's `environment`; unknown keys are ignored with a warning, as W&B's agent does."""
    given = mapping(diagnostics, "environment", section)
    unknown = {str(key): nearest_name(str(key), ENVIRONMENT) for key in given if key not in ENVIRONMENT}
    for key, near in unknown.items():
        hint = f" Did you mean {near}?" if near else ""
        diagnostics.warn(f"environment.{key}", f"this key has no effect, and has none in W&B's agent.{hint}")
    values = fill(diagnostics, "environment.", {key: given[key] for key in ENVIRONMENT if key in given}, ENVIRONMENT)
    if "type" not in values:
        if given:
            _refuse_missing(diagnostics, "environment.type", "is missing", "It is aws, gcp or azure.")
        return None
    if values["type"] != "azure" and "region" not in values:
        typed = next((key for key, near in unknown.items() if near == "region"), None)
        hint = f"Write region in place of {typed}." if typed else ""
        _refuse_missing(diagnostics, "environment.region", f"is missing: {values['type']} needs it", hint)
    return EnvironmentConfig(**values)


def _refuse_missing(diagnostics: Diagnostics, name: str, *why: str) -> None:
    """Refuse a missing setting, unless it was given and refused."""
    if not diagnostics.has_refused(name):
        diagnostics.refuse(name, None, *why)


def jobs(diagnostics: Diagnostics, section: Any) -> JobsConfig:
    """Read `launchd.jobs`."""
    values = fill(diagnostics, "launchd.jobs.", section, JOBS, sections=("limits", "queues"))
    given = section if isinstance(section, dict) else {}
    limits = JobLimits(**fill(diagnostics, "launchd.jobs.limits.", given.get("limits"), LIMITS))
    queues = {
        str(queue): QueueJobs(**fill(diagnostics, f"launchd.jobs.queues.{queue}.", own, QUEUE_JOBS))
        for queue, own in mapping(diagnostics, "launchd.jobs.queues", given.get("queues")).items()
    }
    return JobsConfig(**values, limits=limits, queues=queues)


def venv(diagnostics: Diagnostics, section: Any) -> VenvConfig:
    """Read `launchd.venv`."""
    return VenvConfig(**fill(diagnostics, "launchd.venv.", section, VENV))


def docker(diagnostics: Diagnostics, section: Any) -> DockerConfig:
    """Read `launchd.docker`."""
    values = fill(diagnostics, "launchd.docker.", section, DOCKER, sections=("cleanup",))
    given = section.get("cleanup") if isinstance(section, dict) else None
    return DockerConfig(**values, cleanup=_cleanup(diagnostics, given))


def kubernetes(diagnostics: Diagnostics, section: Any) -> KubernetesConfig:
    """Read `launchd.kubernetes`."""
    values = fill(diagnostics, "launchd.kubernetes.", section, KUBERNETES, sections=("builds",))
    given = section.get("builds") if isinstance(section, dict) else None
    builds = PodBuildsConfig(**fill(diagnostics, "launchd.kubernetes.builds.", given, POD_BUILDS))
    return KubernetesConfig(**values, builds=builds)


def vertex(diagnostics: Diagnostics, section: Any) -> VertexConfig:
    """Read `launchd.vertex`."""
    return VertexConfig(**fill(diagnostics, "launchd.vertex.", section, VERTEX))


def _cleanup(diagnostics: Diagnostics, section: Any) -> EngineCleanupConfig:
    read = EngineCleanupConfig(**fill(diagnostics, "launchd.docker.cleanup.", section, CLEANUP))
    if read.below_percent > read.above_percent:
        why = f"must not be more than above_percent ({read.above_percent:g})"
        diagnostics.refuse("launchd.docker.cleanup.below_percent", read.below_percent, why)
    return read


def registry_access(diagnostics: Diagnostics, section: Any) -> RegistryAccess:
    """Read `launchd.registry`."""
    values = fill(diagnostics, "launchd.registry.", section, REGISTRY_ACCESS)
    if ("username" in values) != ("password_file" in values):
        diagnostics.refuse("launchd.registry", None, "username and password_file go together: give both or neither")
    return RegistryAccess(**values)


def buildah(diagnostics: Diagnostics, section: Any) -> BuildahConfig:
    """Read `launchd.buildah`."""
    return BuildahConfig(**fill(diagnostics, "launchd.buildah.", section, BUILDAH))


def aws(diagnostics: Diagnostics, section: Any) -> AwsConfig:
    """Read `launchd.aws`."""
    values = fill(diagnostics, "launchd.aws.", section, AWS)
    if "external_id" in values and "role_arn" not in values:
        diagnostics.refuse("launchd.aws.external_id", None, "goes with role_arn, which is missing")
    return AwsConfig(**values)


def supervision(diagnostics: Diagnostics, section: Any) -> SupervisionConfig:
    """Read `launchd.supervision`."""
    read = SupervisionConfig(**fill(diagnostics, "launchd.supervision.", section, SUPERVISION))
    if read.worker_silence_seconds <= read.worker_heartbeat_seconds:
        why = f"must be more than worker_heartbeat_seconds ({read.worker_heartbeat_seconds:g})"
        diagnostics.refuse("launchd.supervision.worker_silence_seconds", read.worker_silence_seconds, why)
    return read


def history(diagnostics: Diagnostics, section: Any) -> HistoryConfig:
    """Read `launchd.history`."""
    return HistoryConfig(**fill(diagnostics, "launchd.history.", section, HISTORY))


def hooks(diagnostics: Diagnostics, section: Any) -> HooksConfig:
    """Read `launchd.hooks`."""
    return HooksConfig(**fill(diagnostics, "launchd.hooks.", section, HOOKS))


def gpus(diagnostics: Diagnostics, section: Any) -> GpusConfig:
    """Read `launchd.gpus`."""
    return GpusConfig(**fill(diagnostics, "launchd.gpus.", section, GPUS))


def metrics(diagnostics: Diagnostics, section: Any) -> MetricsConfig:
    """Read `launchd.metrics`."""
    read = MetricsConfig(**fill(diagnostics, "launchd.metrics.", section, METRICS))
    if read.listen is not None and not (read.remote or parse_address(read.listen).is_local):
        why = "can be reached from other machines"
        diagnostics.refuse("launchd.metrics.listen", read.listen, why, "Where that is meant, set remote: true.")
    return read


def _warn_of_unknown_registry(diagnostics: Diagnostics, name: str, address: str | None) -> None:
    if address and registry_of(address) is None:
        diagnostics.warn(
            name, "this is none of ECR, Artifact Registry and ACR: see to it that this host may push there."
        )
