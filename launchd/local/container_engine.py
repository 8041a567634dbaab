"""Whether this machine has a container engine that jobs can be run on. Asks it once, without its SDK."""

import socket
from collections.abc import Mapping
from importlib import metadata
from urllib.parse import urlsplit

from ipc.engine_address import engine_address
from ipc.extras import how_to_install

ANSWER_SECONDS = 3.0

#: The extra with what workers need for the engine, and the package by which they speak to it.
EXTRA = SDK = "docker"

_PING = b"GET /_ping HTTP/1.0\r\n\r\n"
_GOOD = b" 200 "


def why_no_containers(environ: Mapping[str, str]) -> str | None:
    """Return why no jobs can be containers here; None where an engine answers and what is needed for it is installed.

    The engine is that of ``$DOCKER_HOST``, or the usual one; one behind TLS or ssh is not asked, and so there is none.
    """
    address = engine_address(None, environ)
    if not _answers(address):
        return f"no container engine answers at {address}."
    return why_no_engine_is_asked()


def why_no_engine_is_asked() -> str | None:
    """Return that the package is missing which speaks to container engines, and how to install it; None where not."""
    try:
        metadata.version(SDK)
    except metadata.PackageNotFoundError:
        return f"the Python package {SDK} is not installed. Install it with: {how_to_install(EXTRA)}."
    return None


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
