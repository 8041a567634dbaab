"""Where the container engine of this host answers, by the convention of its own clients."""

from collections.abc import Mapping

HOST_VARIABLE = "DOCKER_HOST"
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"


def engine_address(configured: str | None, environ: Mapping[str, str]) -> str:
    """Return the address ``configured``, else that of ``$DOCKER_HOST``, else the usual one."""
    return configured or environ.get(HOST_VARIABLE) or DEFAULT_ADDRESS
