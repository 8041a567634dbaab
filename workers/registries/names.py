"""Names of repositories: made of entities and projects, and taken apart for a registry's API. Pure."""

import re

from workers.docker.images import DEFAULT_REGISTRY, ImageName

#: Where Docker Hub's API is, which its names do not say.
_HUB_API = "registry-1.docker.io"
_LONGEST_COMPONENT = 100

_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?")


def component(text: str) -> str:
    """Return ``text`` as a part of a repository's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST_COMPONENT].strip("-") or "none"


def split(image: ImageName) -> tuple[str, str]:
    """Return the registry of an image, and the name of its repository there."""
    registry, _, name = image.repository.partition("/")
    return registry, name


def api_host(registry: str) -> str:
    """Return the host, with its port, that speaks for ``registry``."""
    return _HUB_API if registry == DEFAULT_REGISTRY else registry


def is_loopback(registry: str) -> bool:
    """Return whether a registry is on this machine alone."""
    return _LOOPBACK.fullmatch(registry) is not None
