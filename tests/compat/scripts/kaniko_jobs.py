"""Run in an environment with wandb: the Job of its kaniko builder for each configuration.

Nothing is asked of a cluster or a cloud. Reads a JSON list of configurations, prints a JSON list of Jobs.
"""

import asyncio
import json
import sys
from typing import Any

from wandb.sdk.launch.builder import kaniko_builder
from wandb.sdk.launch.environment.azure_environment import AzureEnvironment
from wandb.sdk.launch.registry.anon import AnonynmousRegistry
from wandb.sdk.launch.registry.azure_container_registry import AzureContainerRegistry
from wandb.sdk.launch.registry.elastic_container_registry import ElasticContainerRegistry
from wandb.sdk.launch.registry.google_artifact_registry import GoogleArtifactRegistry

REGISTRIES: dict[str, Any] = {
    "ecr": ElasticContainerRegistry,
    "gcr": GoogleArtifactRegistry,
    "acr": AzureContainerRegistry,
    "plain": AnonynmousRegistry,
}


class Cluster:
    """A cluster that has each Secret that is asked for."""

    async def read_namespaced_secret(self, *names: str) -> None:
        """Return nothing."""


def make(case: dict[str, Any]) -> Any:
    """Return the Job of one configuration."""
    registry = REGISTRIES[case["registry"]].__new__(REGISTRIES[case["registry"]])
    registry.region = case["region"]
    environment = AzureEnvironment.__new__(AzureEnvironment) if case["registry"] == "acr" else None
    kaniko_builder.PVC_NAME = case.get("claim")
    kaniko_builder.PVC_MOUNT_PATH = "/kaniko" if case.get("claim") else None
    kaniko_builder.DOCKER_CONFIG_SECRET = case.get("auth_secret")
    builder = kaniko_builder.KanikoBuilder(
        environment,  # type: ignore[arg-type]
        registry,
        secret_name=case.get("secret_name") or "",
        secret_key=case.get("secret_key") or "",
        config=case["config"],
    )
    job = builder._create_kaniko_job(
        case["name"],
        case["repository"],
        case["image"],
        case["context"],
        Cluster(),
        None,  # type: ignore[arg-type]
    )
    return asyncio.run(job)


sys.stdout.write(json.dumps([make(case) for case in json.load(sys.stdin)]))
