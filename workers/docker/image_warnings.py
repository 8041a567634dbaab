"""What a job is told of its image before its container is made. Pure."""

from collections.abc import Iterator
from typing import Any

from workers.docker.engine import Image
from workers.docker.health import warning
from workers.docker.images import ImageName
from workers.docker.request import ContainerRequest

#: What a processor runs beside its own programs.
_ALSO = {"amd64": ("386",), "arm64": ("arm",)}


def image_warnings(
    name: ImageName, image: Image, request: ContainerRequest, architecture: str, health_check_seconds: float
) -> Iterator[str]:
    """Yield sentences; ``architecture`` is the engine's, ``health_check_seconds`` the policy's."""
    runs = (architecture, *_ALSO.get(architecture, ()))
    if image.architecture and architecture and image.architecture not in runs:
        yield (
            f"The image {name} is made for {image.architecture}, and this host is {architecture}: its programs may not"
            " start."
        )
    asked: dict[str, Any] = request.config.get("Healthcheck", {})
    slower = warning(str(name), image.config.healthcheck if image.config else None, asked, health_check_seconds)
    if slower is not None:
        yield slower
