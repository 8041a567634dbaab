"""Image repositories: whose registry an address belongs to, and whether images can be pushed there.

Owns the shapes of the addresses of ECR, Artifact Registry and ACR. Unlike W&B's, they may have nested paths, a port,
and lie in China. Pure functions.
"""

import re
from typing import Any

from launchd.config.validators import text

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
_GAR = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev", re.IGNORECASE)
_ACR = re.compile(r"[a-z0-9-]+\.azurecr\.(io|cn|us)", re.IGNORECASE)

ECR, GAR, ACR = "ecr", "gcr", "acr"  # W&B's words for the types

#: How many parts a path has at least in each registry, and what it looks like.
_PATHS: dict[str | None, tuple[int, str]] = {
    ECR: (1, "a repository: https://ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY"),
    GAR: (3, "an image: https://REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE"),
    ACR: (1, "a repository: https://REGISTRY.azurecr.io/REPOSITORY"),
}


def registry_of(address: str) -> str | None:
    """`ecr`, `gcr` (Artifact Registry) or `acr`; None for any other registry."""
    host = _host(address)
    kinds = ((ECR, _ECR), (GAR, _GAR), (ACR, _ACR))
    return next((kind for kind, shape in kinds if shape.fullmatch(host)), None)


def image_repository(value: Any) -> str:
    """A repository to push images to, without a tag: the agent tags by the hash of the source."""
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
