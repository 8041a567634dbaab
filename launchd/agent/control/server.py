"""The unix socket behind ``launchd status``, ``stop``, ``drain``, ``detach`` and ``reload``.

One thread, one JSON object per line each way. It only carries requests to the
main thread and answers back; the socket is for the agent's own user alone.
"""

import fcntl
import json
import logging
import os
import queue
import socket
import threading
import time
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ANSWER_SECONDS, CLIENT_SECONDS, SOCKET_NAME, ControlError, read_line, sendable
from launchd.agent.events import ControlRequest, EventQueue

#: The longest request.
MAX_REQUEST_BYTES = 64 * 1024

#: Locked by the agent that serves the socket beside it.
LOCK_NAME = "control.lock"

#: Seconds before the next try after a client could not be taken.
ACCEPT_RETRY_SECONDS = 0.5

log = logging.getLogger(__name__)


class ControlServer(threading.Thread):
    """Serves the socket at ``directory / "control.sock"``."""

    def __init__(self, directory: Path, events: EventQueue) -> None:
        super().__init__(name="control", daemon=True)
        self._path = directory / SOCKET_NAME
        self._events = events
        self._lock: int | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def open(self) -> None:
        """Listen; raises :class:`ControlError` where the directory does not allow it."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            # The lock says that no other agent serves here: an old socket is a dead one's.
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                self._socket.bind(str(self._path))
            finally:
                os.umask(before)
            self._socket.listen(16)
        except OSError as error:
            self._give_up()
            raise ControlError(f"The control socket {self._path} cannot be made: {error}.") from error
        self.start()

    def _take_lock(self) -> None:
        """Hold the lock beside the socket for the rest of this process's life."""
        path = self._path.with_name(LOCK_NAME)
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._give_up()
            raise ControlError(
                f"Another agent serves its control socket in {self._path.parent}: it holds {path}. "
                "Give each agent a launchd.runtime_dir of its own."
            ) from None

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._path.unlink(missing_ok=True)
        self._give_up()

    def _give_up(self) -> None:
        self._socket.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def run(self) -> None:
        """Serve one client after the other."""
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError as error:
                if self._socket.fileno() == -1:  # Closed, as the agent leaves.
                    return
                # The host is short of descriptors or memory; the socket itself is as it was.
                log.warning("No client of the control socket can be taken.", extra={"error": str(error)})
                time.sleep(ACCEPT_RETRY_SECONDS)
                continue
            with client:
                self._serve_guarded(client)

    def _serve_guarded(self, client: socket.socket) -> None:
        try:
            self._serve(client)
        except Exception:
            # It costs this client its answer, and no other one.
            log.exception("A client of the control socket cannot be served.")

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(CLIENT_SECONDS)
        try:
            answer = self._answer(read_line(client, MAX_REQUEST_BYTES))
            client.sendall(json.dumps(answer).encode() + b"\n")
        except OSError as error:
            log.debug("A client of the control socket left early.", extra={"error": str(error)})

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"ok": False, "error": "The request is no JSON."}
        if not isinstance(request, dict):
            return {"ok": False, "error": "The request is no JSON object."}
        reply: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._events.put(ControlRequest(sendable(request), reply))
        try:
            return reply.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            return {"ok": False, "error": f"The agent did not answer within {ANSWER_SECONDS:g} s."}
