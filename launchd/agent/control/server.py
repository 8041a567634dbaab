"""The unix socket behind ``launchd status``, ``stop``, ``drain``, ``detach`` and ``reload``.

One thread, one JSON object per line each way. It only carries requests to the
main thread and answers back; the socket is for the agent's own user alone. That may be a job's user, too: no client
keeps another one waiting.
"""

import fcntl
import json
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ANSWER_SECONDS, LOCK_NAME, SOCKET_NAME, ControlError, sendable
from launchd.agent.control.exchange import Exchange, Stage
from launchd.agent.events import ControlRequest, EventQueue
from launchd.agent.waking_queue import WakingQueue

#: Seconds before the next try after a client could not be taken.
ACCEPT_RETRY_SECONDS = 0.5

#: So many clients are served at once. One more takes the place of the one that keeps the agent waiting longest.
MOST_CLIENTS = 64

#: So many may wait to be taken; the kernel refuses one more at once, with a sentence of its own.
BACKLOG = 1024

log = logging.getLogger(__name__)


class _Reply:
    """Takes the answer of the main thread to one exchange."""

    def __init__(self, exchange: Exchange, answers: WakingQueue[tuple[Exchange, dict[str, Any]]]) -> None:
        self._exchange = exchange
        self._answers = answers

    def put(self, answer: dict[str, Any]) -> None:
        self._answers.put((self._exchange, answer))


class ControlServer(threading.Thread):
    """Serves the socket at ``directory / "control.sock"``."""

    def __init__(self, directory: Path, events: EventQueue) -> None:
        super().__init__(name="control", daemon=True)
        self._path = directory / SOCKET_NAME
        self._events = events
        self._lock: int | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._selector = selectors.DefaultSelector()
        self._answers: WakingQueue[tuple[Exchange, dict[str, Any]]] = WakingQueue()
        #: In the order in which the clients came.
        self._exchanges: dict[Exchange, None] = {}

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
            self._socket.listen(BACKLOG)
            self._socket.settimeout(0.0)
        except OSError as error:
            self._give_up()
            raise ControlError(f"The control socket {self._path} cannot be made: {error}.") from error
        # Here: by the time that the thread runs, the agent may have left again.
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(self._answers, selectors.EVENT_READ)
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
        self._answers.wake()

    def _give_up(self) -> None:
        self._socket.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- the thread

    def run(self) -> None:
        """Serve all clients at once; after :meth:`close` those that are left."""
        while self._exchanges or self._is_open():
            self._serve_ready()

    def _is_open(self) -> bool:
        return self._socket.fileno() != -1

    def _serve_ready(self) -> None:
        for key, _ in self._selector.select(self._seconds_left()):
            if key.data is not None:
                self._go_on(key.data)
            elif key.fileobj is self._socket:
                self._take_client()
        for exchange, answer in self._answers.take_all():
            if exchange in self._exchanges and exchange.stage is Stage.AGENT:
                self._answer(exchange, answer)
        for exchange in self._late():
            self._give_up_on(exchange)

    def _seconds_left(self) -> float | None:
        late_at = min((exchange.late_at for exchange in self._exchanges), default=None)
        return None if late_at is None else max(0.0, late_at - time.monotonic())

    def _late(self) -> list[Exchange]:
        now = time.monotonic()
        return [exchange for exchange in self._exchanges if exchange.late_at <= now]

    # -- a client

    def _take_client(self) -> None:
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:  # It has left again.
            return
        except OSError as error:
            if not self._is_open():
                return
            # The host is short of descriptors or memory; the socket itself is as it was.
            log.warning("No client of the control socket can be taken.", extra={"error": str(error)})
            time.sleep(ACCEPT_RETRY_SECONDS)
            return
        if len(self._exchanges) >= MOST_CLIENTS:
            self._end(min(self._exchanges, key=lambda exchange: exchange.stage is Stage.AGENT))
        exchange = Exchange(client)
        self._exchanges[exchange] = None
        self._selector.register(client, selectors.EVENT_READ, exchange)

    def _go_on(self, exchange: Exchange) -> None:
        if exchange not in self._exchanges:  # It had to make way.
            return
        with self._border(exchange):
            if exchange.stage is Stage.REQUEST:
                self._receive(exchange)
            elif exchange.send():
                self._end(exchange)

    def _receive(self, exchange: Exchange) -> None:
        request = exchange.receive()
        if request is not None:
            # While the agent is asked: a client that leaves would wake this thread again and again.
            self._selector.unregister(exchange.client)
            self._ask(exchange, request)

    def _ask(self, exchange: Exchange, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            self._answer(exchange, _refusal("The request is no JSON."))
            return
        if isinstance(request, dict):
            self._events.put(ControlRequest(sendable(request), _Reply(exchange, self._answers)))
        else:
            self._answer(exchange, _refusal("The request is no JSON object."))

    def _answer(self, exchange: Exchange, answer: dict[str, Any]) -> None:
        with self._border(exchange):
            exchange.begin_answer(answer)
            if exchange.send():
                self._end(exchange)
            else:
                self._selector.register(exchange.client, selectors.EVENT_WRITE, exchange)

    def _give_up_on(self, exchange: Exchange) -> None:
        if exchange.stage is Stage.AGENT:
            self._answer(exchange, _refusal(f"The agent did not answer within {ANSWER_SECONDS:g} s."))
        else:
            log.debug("A client of the control socket took too long.", extra={"stage": exchange.stage.name})
            self._end(exchange)

    @contextmanager
    def _border(self, exchange: Exchange) -> Iterator[None]:
        """End an exchange that raises, and no other one."""
        try:
            yield
        except OSError as error:
            log.debug("A client of the control socket left early.", extra={"error": str(error)})
            self._end(exchange)
        except Exception:
            log.exception("A client of the control socket cannot be served.")
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        del self._exchanges[exchange]
        if exchange.client in self._selector.get_map():
            self._selector.unregister(exchange.client)
        exchange.client.close()


def _refusal(sentence: str) -> dict[str, Any]:
    return {"ok": False, "error": sentence}
