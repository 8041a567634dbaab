"""Addresses of image repositories: which registry one belongs to, and whether images can be pushed there.

Owns the patterns for addresses of ECR, Artifact Registry and ACR. Unlike W&B's patterns, they accept nested paths, a
port, and the regions in China. Pure functions.
"""

import re
from typing import Any

from msgspec.structs import replace

from ipc.settings import BuilderConfig, EnvironmentConfig, RegistryConfig
from ipc.targets import CLOUDS, LOCAL_REGISTRY, PLAIN_REGISTRY
from launchd.config.validators import takes, text

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_GAR = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev", re.IGNORECASE)
_ACR = re.compile(r"[a-z0-9-]+\.azurecr\.(io|cn|us)", re.IGNORECASE)

ECR, GAR, ACR = "ecr", "gcr", "acr"  # W&B's names of the types

#: The least number of parts of a path in each registry, and an example.
_PATHS: dict[str | None, tuple[int, str]] = {
    ECR: (1, "a repository: https://ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY"),
    GAR: (3, "an image: https://REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE"),
    ACR: (1, "a repository: https://REGISTRY.azurecr.io/REPOSITORY"),
}


def registry_of(address: str) -> str | None:
    """Return `ecr`, `gcr` (Artifact Registry) or `acr`; None for any other registry."""
    host = _host(address)
    registries = ((ECR, _ECR), (GAR, _GAR), (ACR, _ACR))
    return next((name for name, pattern in registries if pattern.fullmatch(host)), None)


def push_target(
    builder: BuilderConfig, registry: RegistryConfig | None, environment: EnvironmentConfig | None
) -> RegistryConfig | None:
    """Return the registry that images are pushed to, with its type and, where the configuration tells it, its address.

    As with W&B's agent, `builder.destination` goes before `registry`. None where images stay on the host.
    """
    if builder.destination is not None:
        return RegistryConfig(registry_of(builder.destination) or PLAIN_REGISTRY, builder.destination)
    if registry is None or registry.type == LOCAL_REGISTRY:
        return None
    address = registry.uri or _from_parts(registry, environment)
    kind = registry.type or (registry_of(address) if address else None) or PLAIN_REGISTRY
    return replace(registry, type=kind, uri=address)


def _from_parts(registry: RegistryConfig, environment: EnvironmentConfig | None) -> str | None:
    """Return the address that the parts of ECR's or Artifact Registry's make; None where one of them is missing."""
    region = registry.region or _region_of_cloud(registry, environment)
    if not region or not registry.repository:
        return None
    if registry.type == ECR and registry.account_id:
        suffix = ".cn" if region.startswith("cn-") else ""
        return f"{registry.account_id}.dkr.ecr.{region}.amazonaws.com{suffix}/{registry.repository}"
    if registry.type == GAR and registry.project and registry.image_name:
        return f"{region}-docker.pkg.dev/{registry.project}/{registry.repository}/{registry.image_name}"
    return None


def _region_of_cloud(registry: RegistryConfig, environment: EnvironmentConfig | None) -> str | None:
    """Return the region of the environment, where that is of the registry's own cloud."""
    cloud = next((one.environment for one in CLOUDS if one.registry == registry.type), None)
    return environment.region if environment is not None and environment.type == cloud else None


@takes("string", pattern=r"^\s*\S+\s*$")
def image_repository(value: Any) -> str:
    """Return the address of a repository to push images to, without a tag: images are tagged by their source's hash."""
    address = text(value).removeprefix("https://").rstrip("/")
    host, *path = address.split("/")
    if path and (":" in path[-1] or "@" in path[-1]):
        raise ValueError("must not have a tag: images are tagged by the hash of their source")
    least, example = _PATHS.get(registry_of(address), (0, ""))
    if len(path) < least:
        raise ValueError(f"must name {example}")
    return "/".join([host, *path])


def _host(address: str) -> str:
    return address.removeprefix("https://").partition("/")[0]
