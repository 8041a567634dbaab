"""Whether this machine has a container engine that jobs can be run on. Asks it once, without its SDK."""

import socket
from collections.abc import Mapping
from importlib import metadata
from urllib.parse import urlsplit

from ipc.engine_address import engine_address
from ipc.targets import LOCAL_CONTAINER, find_target

ANSWER_SECONDS = 3.0

_PING = b"GET /_ping HTTP/1.0\r\n\r\n"
_GOOD = b" 200 "


def runs_containers(environ: Mapping[str, str]) -> bool:
    """Return whether an engine answers, and what workers need for it is installed.

    The engine is that of ``$DOCKER_HOST``, or the usual one; one behind TLS or ssh is not asked, and so there is none.
    """
    return _is_installed() and _answers(engine_address(None, environ))


def _is_installed() -> bool:
    target = find_target(LOCAL_CONTAINER)
    try:
        # The extra has its SDK's name.
        metadata.version((target and target.extra) or "")
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return True


def _answers(address: str) -> bool:
    try:
        with _connected(address) as connection:
            connection.sendall(_PING)
            return _GOOD in connection.recv(64)
    except (OSError, ValueError):
        return False


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme == "tcp":
        return socket.create_connection((parts.hostname or "localhost", parts.port or 2375), ANSWER_SECONDS)
    if parts.scheme != "unix":
        raise ValueError(f"an engine at {address} is not asked")
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(address.partition("://")[2])
    except OSError:
        connection.close()
        raise
    return connection
