"""Every key there is, what kind of value it takes, and where the value goes.

Owns the tables and fills the frozen values from them. What is wrong goes into the report, all of it; a value that
cannot be used leaves its default in place so that the rest can be checked too.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from ipc.settings import JobsConfig, PolicyRules, SupervisionConfig, VenvConfig
from ipc.targets import BUILDER_TYPES, CLOUDS
from launchd.config import validators
from launchd.config.diagnostics import DEFAULT, Diagnostics, nearest_name
from launchd.config.images import image_repository, registry_of
from launchd.config.model import BuilderConfig, EnvironmentConfig, PolicyConfig, RegistryConfig

T = TypeVar("T", bound=msgspec.Struct)

Kind = Callable[[Any], Any]
Table = Mapping[str, Kind | None]  # None: W&B's agent knows the key and does nothing with it

TOP: Table = {
    "entity": validators.text,
    "queues": validators.names,
    "queue": validators.text,
    "max_jobs": validators.limit,
    "max_schedulers": validators.limit,
    "secure_mode": validators.flag,
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
    "credentials": None,
    "uri": None,
}

REGISTRY: Table = {
    "type": validators.choice(*(cloud.registry for cloud in CLOUDS)),
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
}

LAUNCHD: Table = {
    "base_url": validators.url,
    "api_key_file": validators.absolute_path,
    "state_dir": validators.absolute_path,
    "runtime_dir": validators.absolute_path,
    "log_format": validators.choice("text", "json"),
}

JOBS: Table = {
    "stop_grace_seconds": validators.seconds_or_none,
    "start_timeout_seconds": validators.seconds_or_never,
    "init_grace_seconds": validators.seconds_or_none,
    "max_attempts": validators.at_least(1),
    "output_max_bytes": validators.size,
    "output_files": validators.at_least(1),
    "keep_finished": validators.at_least(1),
}

VENV: Table = {
    "cache_dir": validators.absolute_path,
    "cache_max_bytes": validators.size,
    "no_progress_timeout_seconds": validators.seconds,
    "pip_args": validators.words,
    "python": validators.absolute_path,
}

POLICY: Table = {
    "resources": validators.names,
    "run_as_user": validators.user,
    "allow_local_git": validators.flag,
    # Those with helper programs (`ext::`) run what the submitter says: they cannot be granted.
    "git_transports": validators.choices("https", "ssh", "http", "git"),
    "allow_venv": validators.flag,
}

SUPERVISION: Table = {
    "worker_heartbeat_seconds": validators.seconds,
    "worker_silence_seconds": validators.seconds,
    "fork_server_silence_seconds": validators.seconds,
    "fetch_timeout_seconds": validators.seconds,
    "build_timeout_seconds": validators.seconds,
    "submit_timeout_seconds": validators.seconds,
    "spare_workers": validators.at_least(0),
    "poll_seconds": validators.seconds,
    "wait_seconds": validators.seconds,
    "server_silence_seconds": validators.seconds,
}

SECTIONS = ("jobs", "venv", "policy", "supervision")


def fill(report: Diagnostics, prefix: str, block: Any, table: Table, blocks: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the usable values of `block` by field name; `blocks` are keys that the caller reads itself."""
    given = mapping(report, prefix.rstrip("."), block)
    for key in given:
        if key not in table and key not in blocks:
            _refuse_key(report, prefix, str(key), [*table, *blocks])
    values = {}
    for key, kind in table.items():
        name, value = f"{prefix}{key}", given.get(key)
        if value is None:
            report.origins[name] = DEFAULT
        elif kind is None:
            report.warn(name, "this key has no effect, and has none in W&B's agent.")
        else:
            values.update(_converted(report, name, value, kind))
    return values


def mapping(report: Diagnostics, name: str, block: Any) -> Mapping[Any, Any]:
    """Return the block itself, or an empty one where nothing or something else stands."""
    if block is None:
        return {}
    if not isinstance(block, dict):
        report.refuse(name, block, "must be a mapping")
        return {}
    return block


def builder(report: Diagnostics, block: Any) -> BuilderConfig:
    """Read W&B's `builder`."""
    values = fill(report, "builder.", block, BUILDER)
    if ("secret_name" in values) != ("secret_key" in values):
        report.refuse("builder", None, "secret-name and secret-key go together: give both or neither")
    if block and isinstance(block, dict) and "type" not in values and not report.has_refused("builder.type"):
        report.refuse("builder.type", None, "is missing", "It is docker, kaniko or noop.")
    _warn_of_unknown_registry(report, "builder.destination", values.get("destination"))
    return BuilderConfig(**values)


def registry(report: Diagnostics, block: Any) -> RegistryConfig | None:
    """Read W&B's `registry`. ECR's repository is `repo_name` in its schema and `repository` in its code: both count."""
    values = fill(report, "registry.", block, REGISTRY)
    if "repo_name" in values:
        values.setdefault("repository", values.pop("repo_name"))
    _warn_of_unknown_registry(report, "registry.uri", values.get("uri"))
    return RegistryConfig(**values) if values else None


def environment(report: Diagnostics, block: Any) -> EnvironmentConfig | None:
    """Read W&B's `environment`; other keys than ours are ignored there with a warning, and so they are here."""
    given = mapping(report, "environment", block)
    for key in given:
        if key not in ENVIRONMENT:
            report.warn(f"environment.{key}", "this key has no effect, and has none in W&B's agent.")
    values = fill(report, "environment.", {key: given[key] for key in ENVIRONMENT if key in given}, ENVIRONMENT)
    if "type" not in values:
        if given:
            _refuse_missing(report, "environment.type", "is missing", "It is aws, gcp or azure.")
        return None
    if values["type"] != "azure" and "region" not in values:
        _refuse_missing(report, "environment.region", f"is missing: {values['type']} needs it")
    return EnvironmentConfig(**values)


def _refuse_missing(report: Diagnostics, name: str, *why: str) -> None:
    """Refuse what is not there, unless it is there and was refused itself."""
    if not report.has_refused(name):
        report.refuse(name, None, *why)


def policy(report: Diagnostics, block: Any) -> PolicyConfig:
    """Read `launchd.policy`. What the rules of a queue do not say is as for all queues."""
    values = fill(report, "launchd.policy.", block, POLICY, blocks=("queues",))
    queues = block.get("queues") if isinstance(block, dict) else None
    rules = {
        str(queue): PolicyRules(**values | fill(report, f"launchd.policy.queues.{queue}.", own, POLICY))
        for queue, own in mapping(report, "launchd.policy.queues", queues).items()
    }
    return PolicyConfig(**values, queues=rules)


def jobs(report: Diagnostics, block: Any) -> JobsConfig:
    """Read `launchd.jobs`."""
    return JobsConfig(**fill(report, "launchd.jobs.", block, JOBS))


def venv(report: Diagnostics, block: Any) -> VenvConfig:
    """Read `launchd.venv`."""
    return VenvConfig(**fill(report, "launchd.venv.", block, VENV))


def supervision(report: Diagnostics, block: Any) -> SupervisionConfig:
    """Read `launchd.supervision`."""
    read = SupervisionConfig(**fill(report, "launchd.supervision.", block, SUPERVISION))
    if read.worker_silence_seconds <= read.worker_heartbeat_seconds:
        why = f"must be more than worker_heartbeat_seconds ({read.worker_heartbeat_seconds:g})"
        report.refuse("launchd.supervision.worker_silence_seconds", read.worker_silence_seconds, why)
    return read


def _converted(report: Diagnostics, name: str, value: Any, kind: Kind) -> dict[str, Any]:
    """Return the value by its field's name, or nothing where it cannot be used."""
    try:
        field = {name.rpartition(".")[2].replace("-", "_"): kind(value)}
    except ValueError as error:
        report.refuse(name, value, str(error))
        return {}
    report.accept(name)
    return field


def _refuse_key(report: Diagnostics, prefix: str, key: str, known: list[str]) -> None:
    meant = nearest_name(key, known)
    if not prefix and key in (*LAUNCHD, *SECTIONS):
        hint = f"It stands below launchd: launchd.{key}."
    else:
        hint = f"Did you mean {meant}?" if meant else f"Known here: {', '.join(known)}."
    report.refuse(f"{prefix}{key}", None, "there is no such key", hint)


def _warn_of_unknown_registry(report: Diagnostics, name: str, address: str | None) -> None:
    if address and registry_of(address) is None:
        report.warn(name, "this is none of ECR, Artifact Registry and ACR: see to it that this host may push there.")
