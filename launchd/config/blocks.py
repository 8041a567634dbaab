"""Every key there is, what kind of value it takes, and where the value goes.

Owns the tables and fills the frozen values from them. What is wrong goes into the report, all of it; a value that
cannot be used leaves its default in place so that the rest can be checked too.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from launchd.config import kinds
from launchd.config.images import image_repository
from launchd.config.model import (
    BuilderConfig,
    EnvironmentConfig,
    JobsConfig,
    PolicyConfig,
    PolicyRules,
    RegistryConfig,
    SupervisionConfig,
    VenvConfig,
)
from launchd.config.problems import Report, nearest

T = TypeVar("T", bound=msgspec.Struct)

Kind = Callable[[Any], Any]

ENTITY_AND_QUEUES: dict[str, Kind] = {
    "entity": kinds.text,
    "queues": kinds.names,
    "queue": kinds.text,
    "max_jobs": kinds.limit,
    "max_schedulers": kinds.limit,
    "secure_mode": kinds.flag,
    "verbosity": kinds.at_least(0),
    "stopped_run_timeout": kinds.at_least(0),
}

BUILDER: dict[str, Kind] = {
    "type": kinds.choice("docker", "kaniko", "noop"),
    "destination": image_repository,
    "platform": kinds.choice("linux/amd64", "linux/arm64"),
    "build-context-store": kinds.object_store,
    "build-job-name": kinds.text,
    "secret-name": kinds.text,
    "secret-key": kinds.text,
    "kaniko-image": kinds.text,
    "kaniko-config": kinds.mapping,
}

REGISTRY: dict[str, Kind] = {
    "type": kinds.choice("ecr", "gcr", "acr"),
    "uri": image_repository,
    "account_id": kinds.text,
    "region": kinds.text,
    "repository": kinds.text,
    "image-name": kinds.text,
    "project": kinds.text,
}

ENVIRONMENT: dict[str, Kind] = {
    "type": kinds.choice("aws", "gcp", "azure"),
    "region": kinds.text,
}

OURS: dict[str, Kind] = {
    "base_url": kinds.url,
    "api_key_file": kinds.absolute_path,
    "state_dir": kinds.absolute_path,
    "runtime_dir": kinds.absolute_path,
    "log_format": kinds.choice("text", "json"),
}

JOBS: dict[str, Kind] = {
    "stop_grace_seconds": kinds.seconds_or_never,
    "start_timeout_seconds": kinds.seconds_or_never,
    "max_attempts": kinds.at_least(1),
    "output_max_bytes": kinds.size,
    "output_files": kinds.at_least(1),
    "keep_finished": kinds.at_least(1),
}

VENV: dict[str, Kind] = {
    "cache_dir": kinds.absolute_path,
    "cache_max_bytes": kinds.size,
    "no_progress_timeout_seconds": kinds.seconds,
    "pip_args": kinds.words,
    "python": kinds.absolute_path,
}

POLICY: dict[str, Kind] = {
    "resources": kinds.names,
    "run_as_user": kinds.text,
    "allow_local_git": kinds.flag,
    "git_transports": kinds.names,
    "allow_venv": kinds.flag,
}

SUPERVISION: dict[str, Kind] = {
    "worker_heartbeat_seconds": kinds.seconds,
    "worker_silence_seconds": kinds.seconds,
    "fetch_timeout_seconds": kinds.seconds,
    "build_timeout_seconds": kinds.seconds,
    "submit_timeout_seconds": kinds.seconds,
    "spare_workers": kinds.at_least(0),
    "poll_seconds": kinds.seconds,
    "wait_seconds": kinds.seconds,
    "server_silence_seconds": kinds.seconds,
}


def fill(
    report: Report, prefix: str, block: Any, table: Mapping[str, Kind], blocks: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the usable values of `block` by field name; `blocks` are keys that the caller reads itself."""
    if block is None:
        return {}
    if not isinstance(block, dict):
        report.refuse(prefix.rstrip("."), block, "must be a mapping")
        return {}
    values: dict[str, Any] = {}
    for key, value in block.items():
        if key in blocks:
            continue
        if key not in table:
            _refuse_key(report, prefix, str(key), [*table, *blocks])
        elif value is not None:
            _fill_one(report, f"{prefix}{key}", value, table[key], values)
    return values


def builder(report: Report, block: Any) -> BuilderConfig:
    """Read W&B's `builder`."""
    values = fill(report, "builder.", block, BUILDER)
    if ("secret_name" in values) != ("secret_key" in values):
        report.refuse("builder", None, "secret-name and secret-key go together: give both or neither")
    if block and not values.get("type"):
        report.refuse("builder.type", None, "is missing", "It is docker, kaniko or noop.")
    return BuilderConfig(**values)


def registry(report: Report, block: Any) -> RegistryConfig | None:
    """Read W&B's `registry`."""
    values = fill(report, "registry.", block, REGISTRY)
    return RegistryConfig(**values) if values else None


def environment(report: Report, block: Any) -> EnvironmentConfig | None:
    """Read W&B's `environment`; keys it does not know are ignored there with a warning, and so they are here."""
    known = {key: value for key, value in block.items() if key in ENVIRONMENT} if isinstance(block, dict) else block
    values = fill(report, "environment.", known, ENVIRONMENT)
    if isinstance(block, dict):
        for key in block.keys() - ENVIRONMENT.keys():
            report.warn(f"environment.{key}", "this key is ignored, as W&B's agent ignores it.")
        if block and "type" not in values:
            report.refuse("environment.type", None, "is missing", "It is aws, gcp or azure.")
    return EnvironmentConfig(**values) if "type" in values else None


def section(report: Report, name: str, block: Any, table: Mapping[str, Kind], kind: type[T]) -> T:
    """Read one section of `launchd`."""
    return kind(**fill(report, f"launchd.{name}.", block, table))


def policy(report: Report, block: Any) -> PolicyConfig:
    """Read `launchd.policy`. What the rules of a queue do not say is as for all queues."""
    values = fill(report, "launchd.policy.", block, POLICY, blocks=("queues",))
    queues = block.get("queues") if isinstance(block, dict) else None
    if queues is not None and not isinstance(queues, dict):
        report.refuse("launchd.policy.queues", queues, "must be a mapping of queue names to rules")
        queues = None
    rules = {
        str(queue): PolicyRules(**values | fill(report, f"launchd.policy.queues.{queue}.", own, POLICY))
        for queue, own in (queues or {}).items()
    }
    return PolicyConfig(**values, queues=rules)


def jobs(report: Report, block: Any) -> JobsConfig:
    """Read `launchd.jobs`."""
    return section(report, "jobs", block, JOBS, JobsConfig)


def venv(report: Report, block: Any) -> VenvConfig:
    """Read `launchd.venv`."""
    return section(report, "venv", block, VENV, VenvConfig)


def supervision(report: Report, block: Any) -> SupervisionConfig:
    """Read `launchd.supervision`."""
    read = section(report, "supervision", block, SUPERVISION, SupervisionConfig)
    if read.worker_silence_seconds <= read.worker_heartbeat_seconds:
        why = f"must be more than worker_heartbeat_seconds ({read.worker_heartbeat_seconds:g})"
        report.refuse("launchd.supervision.worker_silence_seconds", read.worker_silence_seconds, why)
    return read


def _fill_one(report: Report, name: str, value: Any, kind: Kind, values: dict[str, Any]) -> None:
    try:
        values[name.rpartition(".")[2].replace("-", "_")] = kind(value)
    except ValueError as error:
        report.refuse(name, value, str(error))
    else:
        report.origins[name] = report.places.get(name, "default")


def _refuse_key(report: Report, prefix: str, key: str, known: list[str]) -> None:
    meant = nearest(key, known)
    hint = f"Did you mean {meant}?" if meant else f"Known here: {', '.join(known)}."
    report.refuse(f"{prefix}{key}", None, "there is no such key", hint)
