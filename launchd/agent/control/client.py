"""Asking an agent through its control socket.

Apart from the server's side so that `launchd status` loads nothing of an agent.
"""

import json
import socket
from pathlib import Path
from typing import Any

from ipc.messages import shorten

SOCKET_NAME = "control.sock"

#: Locked by the agent that serves the socket beside it.
LOCK_NAME = "control.lock"

#: How long the other side may take over a request or to read its answer.
CLIENT_SECONDS = 5.0

#: How long the agent's main thread may take to answer.
ANSWER_SECONDS = 10.0


class ControlError(Exception):
    """The agent cannot be spoken to; the message says why and what to do."""


class NoAnswer(ControlError):
    """No agent runs there, or it hangs."""


def ask(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's answer to ``request``; ``directory`` is its ``runtime_dir``.

    Raises:
        NoAnswer: no agent runs there, or it hangs. `ControlError`: it belongs to another user.
    """
    path = directory / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS + CLIENT_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(json.dumps(sendable(request)).encode() + b"\n")
            answer: dict[str, Any] = json.loads(read_line(client))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoAnswer(
                f"No agent runs here (nothing answers at {path}). Start one with `launchd up` or `launchd agent`."
            ) from None
        except PermissionError:
            raise ControlError(f"The agent at {path} belongs to another user. Ask as that user, or as root.") from None
        except (OSError, ValueError) as error:
            raise NoAnswer(
                f"The agent at {path} did not answer: {error}. If it hangs, restart it; its jobs run on."
            ) from error
    return answer


def sendable(request: dict[str, Any]) -> dict[str, Any]:
    """Return ``request`` with its texts bounded and plain: a long one is cut, with a ``…`` at the cut.

    A byte that a terminal gave and that is no text becomes ``\ufffd``.
    """
    return {shorten(name): shorten(value) if isinstance(value, str) else value for name, value in request.items()}


def read_line(client: socket.socket, limit: int | None = None) -> bytes:
    """Return what ``client`` sends up to the end of its first line; raises ``OSError`` beyond ``limit`` bytes."""
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
        if limit is not None and len(data) > limit:
            raise OSError("the request is too long")
    return bytes(data)
