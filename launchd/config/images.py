"""Addresses of image repositories: which registry one belongs to, and whether images can be pushed there.

Owns the patterns for addresses of ECR, Artifact Registry and ACR. Unlike W&B's patterns, they accept nested paths, a
port, and the regions in China. Pure functions.
"""

import re
from typing import Any

from launchd.config.validators import text

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
