"""The unix socket behind ``launchd status``, ``stop``, ``drain``, ``detach`` and ``reload``.

One thread, one JSON object per line each way. It only carries requests to the
main thread and answers back; the socket is for the agent's own user alone.
"""

import json
import logging
import os
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from launchd.inbox import Asked, Inbox

SOCKET_NAME = "control.sock"

#: The longest request, and how long a client may take over it.
MAX_REQUEST_BYTES = 64 * 1024
CLIENT_SECONDS = 5.0

#: How long the main thread may take to answer.
ANSWER_SECONDS = 10.0

log = logging.getLogger(__name__)


class ControlError(Exception):
    """The agent cannot be spoken to; the message says why and what to do."""


class ControlServer(threading.Thread):
    """Serves the socket at ``directory / "control.sock"``."""

    def __init__(self, directory: Path, inbox: Inbox) -> None:
        super().__init__(name="control", daemon=True)
        self._path = directory / SOCKET_NAME
        self._inbox = inbox
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        """Listen; raises :class:`ControlError` where the directory does not allow it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The journal's lock says that no other agent lives here: an old socket is a dead one's.
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._socket.bind(str(self._path))
            finally:
                os.umask(before)
            self._socket.listen(16)
        except OSError as error:
            raise ControlError(f"The control socket {self._path} cannot be made: {error}.") from error
        self.start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def run(self) -> None:
        """Serve one client after the other."""
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self._serve(client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(CLIENT_SECONDS)
        try:
            answer = self._answer(_read_line(client))
            client.sendall(json.dumps(answer).encode() + b"\n")
        except OSError as error:
            log.debug("A client of the control socket left early.", extra={"error": str(error)})

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"ok": False, "error": "The request is no JSON."}
        if not isinstance(request, dict):
            return {"ok": False, "error": "The request is no JSON object."}
        reply: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._inbox.put(Asked(request, reply))
        try:
            return reply.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            return {"ok": False, "error": f"The agent did not answer within {ANSWER_SECONDS:g} s."}


def ask(directory: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the agent's answer to ``request``; ``directory`` is its ``runtime_dir``.

    Raises:
        ControlError: no agent runs there, it belongs to another user, or it does not answer.
    """
    path = directory / SOCKET_NAME
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(ANSWER_SECONDS + CLIENT_SECONDS)
        try:
            client.connect(str(path))
            client.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(_read_line(client, limit=None))
        except (FileNotFoundError, ConnectionRefusedError):
            raise ControlError(
                f"No agent runs here (nothing answers at {path}). Start one with `launchd up` or `launchd agent`."
            ) from None
        except PermissionError:
            raise ControlError(f"The agent at {path} belongs to another user. Ask as that user, or as root.") from None
        except (OSError, ValueError) as error:
            raise ControlError(f"The agent at {path} did not answer: {error}.") from error
    return answer


def _read_line(client: socket.socket, limit: int | None = MAX_REQUEST_BYTES) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = client.recv(65536)
        if not piece:
            break
        data += piece
        if limit is not None and len(data) > limit:
            raise OSError("the request is too long")
    return bytes(data)
