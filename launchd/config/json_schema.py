"""A JSON Schema of launch-config.yaml, made from the declarations of the settings: for editors, and other programs.

It refuses what the loader refuses in kind (unknown keys, types, words, forms of a value), and takes all that the loader
takes; what depends on the host, or on two settings together, is the loader's alone. Draft 7, which editors know. Pure.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import msgspec

from ipc.policy_rules import ContainerLimits, ContainerRules, KubernetesRules, SagemakerRules, VertexRules
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
    RegistryAccess,
    RegistryConfig,
    SupervisionConfig,
    VenvConfig,
    VertexConfig,
)
from launchd.config import keys
from launchd.config.model import AgentConfig, GpusConfig, HistoryConfig, LaunchdConfig, MetricsConfig, PolicyConfig
from launchd.config.validators import Validator

#: The file that is shipped, beside this module.
FILE_NAME = "launch-config.schema.json"

Schema = dict[str, Any]


class Section(NamedTuple):
    """A mapping of the file: its keys, the struct with their defaults, and what JSON Schema says of it as a whole."""

    table: keys.Table
    defaults: type[msgspec.Struct]
    rules: Mapping[str, Any] = {}


_TYPE_NEEDED = {"anyOf": [{"maxProperties": 0}, {"required": ["type"]}]}
_TOGETHER = {"username": ["password_file"], "password_file": ["username"]}
_SECRET_TOGETHER = {"secret-name": ["secret-key"], "secret-key": ["secret-name"]}

#: W&B's agent ignores other keys of an environment, and so does this one.
_ENVIRONMENT_RULES = {
    "additionalProperties": True,
    **_TYPE_NEEDED,
    "if": {"properties": {"type": {"enum": ["aws", "gcp"]}}, "required": ["type"]},
    "then": {"required": ["region"]},
}

SECTIONS: Mapping[str, Section] = {
    "": Section(keys.TOP, AgentConfig),
    "builder": Section(keys.BUILDER, BuilderConfig, {"dependencies": _SECRET_TOGETHER, **_TYPE_NEEDED}),
    "registry": Section(keys.REGISTRY, RegistryConfig),
    "environment": Section(keys.ENVIRONMENT, EnvironmentConfig, _ENVIRONMENT_RULES),
    "launchd": Section(keys.LAUNCHD, LaunchdConfig),
    "launchd.jobs": Section(keys.JOBS, JobsConfig),
    "launchd.jobs.limits": Section(keys.LIMITS, JobLimits),
    "launchd.venv": Section(keys.VENV, VenvConfig),
    "launchd.docker": Section(keys.DOCKER, DockerConfig),
    "launchd.kubernetes": Section(keys.KUBERNETES, KubernetesConfig),
    "launchd.kubernetes.builds": Section(keys.POD_BUILDS, PodBuildsConfig),
    "launchd.docker.cleanup": Section(keys.CLEANUP, EngineCleanupConfig),
    "launchd.vertex": Section(keys.VERTEX, VertexConfig),
    "launchd.registry": Section(keys.REGISTRY_ACCESS, RegistryAccess, {"dependencies": _TOGETHER}),
    "launchd.buildah": Section(keys.BUILDAH, BuildahConfig),
    "launchd.aws": Section(keys.AWS, AwsConfig, {"dependencies": {"external_id": ["role_arn"]}}),
    "launchd.policy": Section(keys.POLICY, PolicyConfig, {"not": {"required": ["run_as_user", "run_as_users"]}}),
    "launchd.policy.containers": Section(keys.CONTAINERS, ContainerRules),
    "launchd.policy.containers.limits": Section(keys.CONTAINER_LIMITS, ContainerLimits),
    "launchd.policy.kubernetes": Section(keys.KUBERNETES_RULES, KubernetesRules),
    "launchd.policy.vertex": Section(keys.VERTEX_RULES, VertexRules),
    "launchd.policy.sagemaker": Section(keys.SAGEMAKER, SagemakerRules),
    "launchd.supervision": Section(keys.SUPERVISION, SupervisionConfig),
    "launchd.gpus": Section(keys.GPUS, GpusConfig),
    "launchd.history": Section(keys.HISTORY, HistoryConfig),
    "launchd.hooks": Section(keys.HOOKS, HooksConfig),
    "launchd.metrics": Section(keys.METRICS, MetricsConfig),
}


def shipped() -> str:
    """Return the schema as it is shipped, with descriptions: JSON."""
    return resources.files("launchd.config").joinpath(FILE_NAME).read_text(encoding="utf-8")


def document(descriptions: Mapping[str, str]) -> Schema:
    """Return the schema; ``descriptions`` are texts by dotted name, those without one are left out."""
    whole = _section("", descriptions)
    of_launchd = whole["properties"]["launchd"]["properties"]
    _add_queues(of_launchd["policy"], _section("launchd.policy", descriptions), "Rules by queue.")
    jobs = {key: _key(validator, None) for key, validator in keys.QUEUE_JOBS.items()}
    _add_queues(of_launchd["jobs"], _mapping(jobs), "Limits by queue.")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "launch-config.yaml of a launch agent",
        **whole,
    }


def _add_queues(section: Schema, of_queue: Schema, description: str) -> None:
    queues = {"type": ["object", "null"], "additionalProperties": of_queue, "description": description}
    section["properties"]["queues"] = queues


def _mapping(properties: Mapping[str, Schema]) -> Schema:
    return {"type": ["object", "null"], "additionalProperties": False, "properties": dict(properties)}


def _section(name: str, descriptions: Mapping[str, str]) -> Schema:
    section = SECTIONS[name]
    prefix = f"{name}." if name else ""
    defaults = _defaults(section.defaults)
    properties = {key: _key(section.table[key], defaults.get(key.replace("-", "_"))) for key in section.table}
    for key, found in properties.items():
        if f"{prefix}{key}" in descriptions:
            found["description"] = descriptions[f"{prefix}{key}"]
    below = {each.removeprefix(prefix): _section(each, descriptions) for each in SECTIONS if _is_below(each, name)}
    return _mapping(properties | below) | dict(section.rules)


def _is_below(name: str, outer: str) -> bool:
    return bool(name) and name.rpartition(".")[0] == outer


def _key(validator: Validator[Any] | None, default: Any) -> Schema:
    """Return the schema of a key; an empty value stands for its default, and so does null."""
    if validator is None:
        return {"description": "This key has no effect, and has none in W&B's agent."}
    found = dict(validator.schema)
    kinds = found["type"]
    found["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found if default is None else {**found, "default": default}


def _defaults(struct: type[msgspec.Struct]) -> dict[str, Any]:
    found = {field.name: field.default for field in msgspec.structs.fields(struct)}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    return {name: value for name, value in plain.items() if isinstance(value, bool | int | float | str | list)}
