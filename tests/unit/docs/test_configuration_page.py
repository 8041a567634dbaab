"""docs/configuration.md lists every key there is, none that is not, and the right defaults."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

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
from launchd.config.model import AgentConfig, GpusConfig, HistoryConfig, LaunchdConfig, MetricsConfig, PolicyConfig
from launchd.config.validators import size

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
BLOCKS: dict[str, type[msgspec.Struct]] = {
    "": AgentConfig,
    "builder.": BuilderConfig,
    "registry.": RegistryConfig,
    "environment.": EnvironmentConfig,
    "launchd.": LaunchdConfig,
    "launchd.jobs.": JobsConfig,
    "launchd.jobs.limits.": JobLimits,
    "launchd.venv.": VenvConfig,
    "launchd.docker.": DockerConfig,
    "launchd.kubernetes.": KubernetesConfig,
    "launchd.kubernetes.builds.": PodBuildsConfig,
    "launchd.docker.cleanup.": EngineCleanupConfig,
    "launchd.vertex.": VertexConfig,
    "launchd.registry.": RegistryAccess,
    "launchd.buildah.": BuildahConfig,
    "launchd.aws.": AwsConfig,
    "launchd.policy.": PolicyConfig,
    "launchd.policy.containers.": ContainerRules,
    "launchd.policy.containers.limits.": ContainerLimits,
    "launchd.policy.kubernetes.": KubernetesRules,
    "launchd.policy.vertex.": VertexRules,
    "launchd.policy.sagemaker.": SagemakerRules,
    "launchd.supervision.": SupervisionConfig,
    "launchd.gpus.": GpusConfig,
    "launchd.history.": HistoryConfig,
    "launchd.hooks.": HooksConfig,
    "launchd.metrics.": MetricsConfig,
}
#: Keys that stand for others, and are not kept.
READ_AWAY = ["launchd.policy.preset"]
ROW = re.compile(r"^\| (?P<keys>`[a-z][^|]*) \| (?P<default>[^|]+) \|", re.MULTILINE)


def documented() -> dict[str, str]:
    """Return the default on the page by key, spelt as in the structs."""
    text = PAGE.read_text().partition("## W&B's keys")[2]
    rows = [(re.findall(r"`([^`]+)`", row["keys"]), row["default"].strip()) for row in ROW.finditer(text)]
    return {key.replace("-", "_"): default for keys, default in rows for key in keys}


def existing() -> dict[str, Any]:
    """Return the default in the code by key, of the keys that hold values and not blocks."""
    return {
        prefix + field.name: field.default
        for prefix, struct in BLOCKS.items()
        for field in msgspec.structs.fields(struct)
        if f"{prefix}{field.name}." not in BLOCKS
    }


def plain_defaults() -> list[tuple[str, Any]]:
    return [(key, default) for key, default in existing().items() if isinstance(default, bool | int | float | tuple)]


def as_written(default: Any) -> str:
    if isinstance(default, tuple):
        return f"`[{', '.join(default)}]`"
    return f"`{str(default).lower() if isinstance(default, bool) else f'{default:g}'}`"


def test_every_key_is_documented_and_no_other() -> None:
    assert sorted(documented()) == sorted([*existing(), *READ_AWAY])


@pytest.mark.parametrize(("key", "default"), plain_defaults(), ids=str)
def test_the_default_is_right(key: str, default: Any) -> None:
    said = documented()[key]

    if "iB" in said:
        assert size(said.strip("`")) == default
    elif key != "queues":
        assert said == as_written(default)
