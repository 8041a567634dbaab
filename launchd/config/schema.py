"""Every key of the configuration with its validator, and the frozen values that are filled from them.

Owns the tables of keys. Every problem goes into the diagnostics; a value that cannot be used leaves its default in
place, so that the rest is checked too.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ipc.settings import (
    AwsConfig,
    BuildahConfig,
    BuilderConfig,
    ContainerLimits,
    ContainerRules,
    DockerConfig,
    EngineCleanupConfig,
    EnvironmentConfig,
    HooksConfig,
    JobLimits,
    JobsConfig,
    KubernetesConfig,
    KubernetesRules,
    PodBuildsConfig,
    PolicyRules,
    QueueJobs,
    RegistryAccess,
    RegistryConfig,
    SagemakerRules,
    SupervisionConfig,
    VenvConfig,
    VertexConfig,
    VertexRules,
)
from ipc.targets import BUILDER_TYPES, CLOUDS, REGISTRIES
from launchd.config import validators
from launchd.config.diagnostics import DEFAULT, Diagnostics, nearest_name
from launchd.config.images import ECR, image_repository, registry_of
from launchd.config.model import GpusConfig, HistoryConfig, MetricsConfig, PolicyConfig
from launchd.config.presets import PRESETS
from launchd.config.validators import Validator
from launchd.metrics.address import parse_address

T = TypeVar("T", bound=msgspec.Struct)

Table = Mapping[str, Validator[Any] | None]  # None: W&B's agent accepts the key and ignores it

TOP: Table = {
    "entity": validators.text,
    "queues": validators.names,
    "queue": validators.text,
    "max_jobs": validators.job_limit,
    "max_schedulers": validators.job_limit,
    "secure_mode": validators.boolean,
    "verbosity": validators.at_least(0),
    "stopped_run_timeout": validators.at_least(0),
}

BUILDER: Table = {
    "type": validators.choice(*BUILDER_TYPES),
    "destination": image_repository,
    "platform": validators.choice("linux/amd64", "linux/arm64"),
    "build-context-store": validators.object_store,
    "build-job-name": validators.text,
    "secret-name": validators.text,
    "secret-key": validators.text,
    "kaniko-image": validators.text,
    "kaniko-config": validators.mapping,
    "kaniko_config": validators.mapping,
    "credentials": None,
    "uri": None,
}

REGISTRY: Table = {
    "type": validators.choice(*REGISTRIES),
    "uri": image_repository,
    "account_id": validators.text,
    "region": validators.text,
    "repository": validators.text,
    "repo_name": validators.text,
    "image-name": validators.text,
    "project": validators.text,
    "credentials": None,
}

ENVIRONMENT: Table = {
    "type": validators.choice(*(cloud.environment for cloud in CLOUDS)),
    "region": validators.text,
    "project": validators.text,
}

LAUNCHD: Table = {
    "base_url": validators.url,
    "api_key_file": validators.absolute_path,
    "state_dir": validators.absolute_path,
    "runtime_dir": validators.absolute_path,
    "log_format": validators.choice("text", "json"),
}

JOBS: Table = {
    "stop_grace_seconds": validators.seconds_or_zero,
    "start_timeout_seconds": validators.seconds_or_never,
    "max_runtime_seconds": validators.seconds_or_never,
    "init_grace_seconds": validators.seconds_or_zero,
    "max_attempts": validators.at_least(1),
    "output_max_bytes": validators.size,
    "output_files": validators.at_least(1),
    "keep_finished": validators.at_least(1),
    "keep_days": validators.days,
    "control_group": validators.absolute_path,
    "environment": validators.variables,
    "umask": validators.umask,
}

QUEUE_JOBS: Table = {
    "max_runtime_seconds": validators.seconds_or_never,
    "environment": validators.variables,
}

LIMITS: Table = {
    "memory": validators.size,
    "processors": validators.processors,
    "processes": validators.at_least(1),
    "disk": validators.size,
}

VENV: Table = {
    "cache_dir": validators.absolute_path,
    "cache_max_bytes": validators.size,
    "cache_keep_days": validators.days,
    "no_progress_timeout_seconds": validators.positive_seconds,
    "pip_args": validators.strings,
    "python": validators.absolute_path,
    "pythons": validators.granted_paths(),
    "install_user": validators.user_or_number,
    "pass_index_settings": validators.boolean,
}

DOCKER: Table = {
    "host": validators.engine_address,
    "pull_no_progress_seconds": validators.positive_seconds,
    "unavailable_seconds": validators.seconds_or_zero,
    "base_image": validators.text,
    "build_no_progress_seconds": validators.positive_seconds,
    "build_network": validators.text,
}

REGISTRY_ACCESS: Table = {
    "docker_config": validators.absolute_path,
    "username": validators.text,
    "password_file": validators.absolute_path,
    "ca_file": validators.absolute_path,
    "insecure": validators.boolean,
    "timeout_seconds": validators.positive_seconds,
}

BUILDAH: Table = {
    "storage_dir": validators.absolute_path,
    "storage_driver": validators.choice("overlay", "vfs"),
    "cache_max_bytes": validators.size,
    "user_numbers": validators.subordinate_numbers,
    "no_progress_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

KUBERNETES: Table = {
    "config_file": validators.absolute_path,
    "context": validators.text,
    "namespace": validators.text,
    "timeout_seconds": validators.positive_seconds,
    "pull_secrets": validators.boolean,
}

POD_BUILDS: Table = {
    "image": validators.text,
    "namespace": validators.text,
    "service_account": validators.text,
    "claim": validators.text,
    "claim_directory": validators.absolute_path,
    "no_progress_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

KUBERNETES_RULES: Table = {
    "images": validators.names,
    "namespaces": validators.names,
    "contexts": validators.names,
    "config_files": validators.granted_paths(),
    "service_accounts": validators.names,
    "custom_resources": validators.names,
    "services": validators.names,
    "host_paths": validators.granted_paths(),
    "fields": validators.names,
    "host_variables": validators.names,
}

VERTEX: Table = {
    "endpoint": validators.url,
    "logging_endpoint": validators.url,
    "poll_seconds": validators.positive_seconds,
    "log_poll_seconds": validators.positive_seconds,
    "timeout_seconds": validators.positive_seconds,
}

VERTEX_RULES: Table = {
    "images": validators.names,
    "buckets": validators.names,
    "service_accounts": validators.names,
    "networks": validators.names,
    "fields": validators.names,
    "host_variables": validators.names,
}

AWS: Table = {
    "profile": validators.text,
    "role_arn": validators.text,
    "external_id": validators.text,
    "create_repositories": validators.boolean,
    "poll_seconds": validators.positive_seconds,
}

CLEANUP: Table = {
    "above_percent": validators.percent,
    "below_percent": validators.percent,
    "keep_seconds": validators.seconds_or_zero,
    "interval_seconds": validators.seconds_or_zero,
}

CONTAINERS: Table = {
    "images": validators.names,
    "mounts": validators.granted_paths("ro", "rw"),
    "volumes": validators.names,
    "devices": validators.granted_paths("r", "w", "m", "rw", "rm", "wm", "rwm"),
    "networks": validators.names,
    "capabilities": validators.names,
    "users": validators.names,
    "host_variables": validators.names,
    "env_files": validators.granted_paths(),
    "flags": validators.names,
    "user": validators.container_user,
    "no_new_privileges": validators.boolean,
}

CONTAINER_LIMITS: Table = {
    "memory": validators.size,
    "processors": validators.processors,
    "processes": validators.at_least(1),
    "shared_memory": validators.size,
    "disk": validators.size,
}

SAGEMAKER: Table = {
    "roles": validators.names,
    "instance_types": validators.names,
    "images": validators.names,
    "outputs": validators.names,
    "regions": validators.names,
    "profiles": validators.names,
    "subnets": validators.names,
    "security_groups": validators.names,
    "fields": validators.names,
    "host_variables": validators.names,
    "instances": validators.at_least(1),
    "runtime_seconds": validators.at_least(1),
    "volume_gib": validators.at_least(1),
}

POLICY: Table = {
    "preset": validators.choice(*PRESETS),
    "resources": validators.names,
    "run_as_user": validators.user,
    "run_as_users": validators.user_numbers,
    "allow_root_jobs": validators.boolean,
    "git_credentials": validators.boolean,
    "allow_local_git": validators.boolean,
    # Transports with helper programs (`ext::`) run commands of the submitter: they cannot be granted.
    "git_transports": validators.choices("https", "ssh", "http", "git"),
    "git_submodules": validators.boolean,
    "allow_venv": validators.boolean,
}

#: Sections of the rules that have keys of their own.
_RULE_SECTIONS = ("containers", "kubernetes", "sagemaker", "vertex")

_USER_KEYS = frozenset({"run_as_user", "run_as_users"})

_ALL_QUEUES = "launchd.policy."

#: The rules that a section of the policy may leave out, by their names below it.
_RULES = (
    *(key for key in POLICY if key != "preset"),
    *(f"containers.{key}" for key in CONTAINERS),
    *(f"containers.limits.{key}" for key in CONTAINER_LIMITS),
    *(f"kubernetes.{key}" for key in KUBERNETES_RULES),
    *(f"vertex.{key}" for key in VERTEX_RULES),
    *(f"sagemaker.{key}" for key in SAGEMAKER),
)

SUPERVISION: Table = {
    "worker_heartbeat_seconds": validators.positive_seconds,
    "worker_silence_seconds": validators.positive_seconds,
    "fork_server_silence_seconds": validators.positive_seconds,
    "fetch_timeout_seconds": validators.positive_seconds,
    "build_timeout_seconds": validators.positive_seconds,
    "submit_timeout_seconds": validators.positive_seconds,
    "spare_workers": validators.at_least(0),
    "poll_seconds": validators.positive_seconds,
    "wait_seconds": validators.positive_seconds,
    "server_silence_seconds": validators.positive_seconds,
}

GPUS: Table = {
    "manage": validators.boolean,
    "devices": validators.gpus,
    "probe_seconds": validators.positive_seconds,
    "probe_timeout_seconds": validators.positive_seconds,
    "fast_failures": validators.at_least(0),
    "fast_failure_seconds": validators.positive_seconds,
    "set_aside_seconds": validators.positive_seconds,
}

HISTORY: Table = {
    "keep_jobs": validators.at_least(1),
    "keep_days": validators.days,
}

HOOKS: Table = {
    "before": validators.command,
    "after": validators.command,
    "job_before": validators.command,
    "job_after": validators.command,
    "timeout_seconds": validators.positive_seconds,
}

METRICS: Table = {
    "listen": validators.listen_address,
    "remote": validators.boolean,
}

SECTIONS = (
    "jobs",
    "venv",
    "docker",
    "kubernetes",
    "vertex",
    "registry",
    "buildah",
    "aws",
    "policy",
    "supervision",
    "gpus",
    "history",
    "hooks",
    "metrics",
)


def fill(
    diagnostics: Diagnostics, prefix: str, section: Any, table: Table, sections: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the usable values of `section` by field name; `sections` are keys that the caller reads itself."""
    given = mapping(diagnostics, prefix.rstrip("."), section)
    for key in given:
        if key not in table and key not in sections:
            _refuse_key(diagnostics, prefix, str(key), [*table, *sections])
    values = {}
    for key, validator in table.items():
        name, value = f"{prefix}{key}", given.get(key)
        if value is None:
            diagnostics.origins[name] = DEFAULT
        elif validator is None:
            diagnostics.warn(name, "this key has no effect, and has none in W&B's agent.")
        else:
            values.update(_converted(diagnostics, name, value, validator))
    return values


def mapping(diagnostics: Diagnostics, name: str, section: Any) -> Mapping[Any, Any]:
    """Return the section itself, or an empty one where it is missing or no mapping."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        diagnostics.refuse(name, section, "must be a mapping")
        return {}
    return section


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
    for key in given:
        if key not in ENVIRONMENT:
            diagnostics.warn(f"environment.{key}", "this key has no effect, and has none in W&B's agent.")
    values = fill(diagnostics, "environment.", {key: given[key] for key in ENVIRONMENT if key in given}, ENVIRONMENT)
    if "type" not in values:
        if given:
            _refuse_missing(diagnostics, "environment.type", "is missing", "It is aws, gcp or azure.")
        return None
    if values["type"] != "azure" and "region" not in values:
        _refuse_missing(diagnostics, "environment.region", f"is missing: {values['type']} needs it")
    return EnvironmentConfig(**values)


def _refuse_missing(diagnostics: Diagnostics, name: str, *why: str) -> None:
    """Refuse a missing setting, unless it was given and refused."""
    if not diagnostics.has_refused(name):
        diagnostics.refuse(name, None, *why)


def policy(diagnostics: Diagnostics, section: Any) -> PolicyConfig:
    """Read `launchd.policy`. A setting that the rules of a queue leave out is as for all queues."""
    values = _rules(diagnostics, _ALL_QUEUES, section, PolicyRules(), sections=("queues", *_RULE_SECTIONS))
    queues = section.get("queues") if isinstance(section, dict) else None
    common = PolicyRules(**values)
    rules = {
        str(queue): PolicyRules(
            **_joined(values, _rules(diagnostics, f"launchd.policy.queues.{queue}.", own, common, _RULE_SECTIONS))
        )
        for queue, own in mapping(diagnostics, "launchd.policy.queues", queues).items()
    }
    for name, given in {"launchd.policy": section, **_by_name(queues)}.items():
        if isinstance(given, dict) and given.keys() >= _USER_KEYS:
            diagnostics.refuse(name, None, "run_as_user and run_as_users exclude each other", "Leave one of them out.")
    return PolicyConfig(**values, queues=rules)


def _joined(general: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules of a queue. One user for its jobs replaces a range for all queues, and the other way round."""
    replaced = _USER_KEYS if _USER_KEYS & own.keys() else frozenset()
    return {name: value for name, value in general.items() if name not in replaced} | dict(own)


def _by_name(queues: Any) -> dict[str, Any]:
    return {f"launchd.policy.queues.{queue}": own for queue, own in queues.items()} if isinstance(queues, dict) else {}


def _rules(
    diagnostics: Diagnostics, prefix: str, section: Any, common: PolicyRules, sections: tuple[str, ...]
) -> dict[str, Any]:
    """Return the rules of `section` by field name: its preset's, and in their place its own.

    Those for containers and for Kubernetes are complete; what neither names is as `common`.
    Those for a kind of target are complete; what neither names is as `common`.
    """
    own = fill(diagnostics, prefix, section, POLICY, sections)
    chosen = own.pop("preset", "")
    preset = PRESETS.get(chosen, {})
    given = section if isinstance(section, dict) else {}
    base = preset.get("containers", common.containers)
    rules = {
        **preset,
        **own,
        "vertex": _vertex(diagnostics, f"{prefix}vertex.", given.get("vertex"), preset.get("vertex", common.vertex)),
        "containers": _containers(diagnostics, f"{prefix}containers.", given.get("containers"), base),
        "kubernetes": _kubernetes_rules(diagnostics, f"{prefix}kubernetes.", section, preset, common),
        "sagemaker": _sagemaker(diagnostics, f"{prefix}sagemaker.", given.get("sagemaker"), common.sagemaker),
    }
    _derive(diagnostics, prefix, chosen, _USER_KEYS if _USER_KEYS & own.keys() else frozenset())
    return rules


def _vertex(diagnostics: Diagnostics, prefix: str, section: Any, base: VertexRules) -> VertexRules:
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, section, VERTEX_RULES))


def _derive(diagnostics: Diagnostics, prefix: str, preset: str, replaced: frozenset[str]) -> None:
    """Record where the rules come from that a section leaves out: from its preset, else from those for all queues."""
    for key in _RULES:
        if key.partition(".")[0] in PRESETS.get(preset, {}):
            diagnostics.derive(f"{prefix}{key}", f"{prefix}preset", f"preset {preset}")
        elif prefix != _ALL_QUEUES and key not in replaced:
            diagnostics.derive(f"{prefix}{key}", f"{_ALL_QUEUES}{key}", f"{_ALL_QUEUES}{key}")


def _kubernetes_rules(
    diagnostics: Diagnostics, prefix: str, section: Any, preset: Mapping[str, Any], common: PolicyRules
) -> KubernetesRules:
    given = section.get("kubernetes") if isinstance(section, dict) else None
    base: KubernetesRules = preset.get("kubernetes", common.kubernetes)
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, given, KUBERNETES_RULES))


def _containers(diagnostics: Diagnostics, prefix: str, section: Any, base: ContainerRules) -> ContainerRules:
    given = section.get("limits") if isinstance(section, dict) else None
    limits = msgspec.structs.asdict(base.limits) | fill(diagnostics, f"{prefix}limits.", given, CONTAINER_LIMITS)
    own = fill(diagnostics, prefix, section, CONTAINERS, sections=("limits",))
    return ContainerRules(**{**msgspec.structs.asdict(base), **own, "limits": ContainerLimits(**limits)})


def _sagemaker(diagnostics: Diagnostics, prefix: str, section: Any, base: SagemakerRules) -> SagemakerRules:
    return msgspec.structs.replace(base, **fill(diagnostics, prefix, section, SAGEMAKER))


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


def _converted(diagnostics: Diagnostics, name: str, value: Any, validator: Validator[Any]) -> dict[str, Any]:
    """Return the value by its field's name; an empty dict where it cannot be used."""
    try:
        field = {name.rpartition(".")[2].replace("-", "_"): validator(value)}
    except ValueError as error:
        diagnostics.refuse(name, value, str(error))
        return {}
    diagnostics.accept(name)
    return field


def _refuse_key(diagnostics: Diagnostics, prefix: str, key: str, known: list[str]) -> None:
    meant = nearest_name(key, known)
    if not prefix and key in (*LAUNCHD, *SECTIONS):
        hint = f"It stands below launchd: launchd.{key}."
    else:
        hint = f"Did you mean {meant}?" if meant else f"Known here: {', '.join(known)}."
    diagnostics.refuse(f"{prefix}{key}", None, "there is no such key", hint)


def _warn_of_unknown_registry(diagnostics: Diagnostics, name: str, address: str | None) -> None:
    if address and registry_of(address) is None:
        diagnostics.warn(
            name, "this is none of ECR, Artifact Registry and ACR: see to it that this host may push there."
        )
