"""Questions to programs beside this one: commands of the system, and the container engine.

Each has a limit of time. What cannot be asked is None or a sentence, and no exception.
"""

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

ENGINE_SECONDS = 5.0
COMMAND_SECONDS = 5.0

_OK = 200


class EngineAway(Exception):
    """The container engine does not answer; the message says why, as a sentence."""


class _Connection(http.client.HTTPConnection):
    """To a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ENGINE_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def engine_info(address: str) -> dict[str, Any]:
    """Return what the engine at ``address`` says of itself (``GET /info``).

    Raises:
        EngineAway: it does not answer, or by a way that is not asked here (TLS, ssh). `PermissionError`: the socket is
            closed to this user.
    """
    connection = _connection(address)
    try:
        connection.request("GET", "/info")
        answer = connection.getresponse()
        found = json.loads(answer.read(1 << 20))
    except PermissionError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EngineAway(f"The container engine at {address} does not answer: {_reason(error)}.") from error
    finally:
        connection.close()
    if answer.status != _OK or not isinstance(found, dict):
        raise EngineAway(f"The container engine at {address} refuses to answer (HTTP {answer.status}).")
    return found


def _connection(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return _Connection(address.partition("://")[2])
    if parts.scheme in ("tcp", "http") and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=ENGINE_SECONDS)
    raise EngineAway(f"The container engine at {address} is reached by a way that the doctor does not go.")


def _reason(error: Exception) -> str:
    match error:
        case OSError(errno=int(number)):
            return os.strerror(number)
        case _:
            return str(error) or type(error).__name__


def command_output(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """Return what a command of the system prints; None where it is missing, fails or does not end."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=True,
            env={**environ, "LC_ALL": "C.UTF-8"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
