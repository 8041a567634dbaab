"""One process that asks a cloud for all workers of an agent: how it serves them, and how they ask it.

A cloud's SDK takes ten megabytes and more of each process that uses it, and reads credentials and opens connections for
each. Here one process does that, over a socket for the agent's own user alone; a request and its answer are bytes to
this module. The process may die or hang at any time: the supervisor starts another one, and the workers that had asked
have no answer.
"""

import contextlib
import logging
import os
import resource
import select
import signal
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Self

from setproctitle import setproctitle

from ipc.exits import WorkerExit
from ipc.request_service import ServiceEnd

Answer = Callable[[bytes], bytes]

#: The longest request or answer, in bytes. A page of a log is the longest there is.
MOST_BYTES = 80 << 20
#: How long a request may take to come, once a worker has connected, in seconds.
REQUEST_SECONDS = 10.0
#: How long an answer may take, in seconds: longer than the SDKs try.
ANSWER_SECONDS = 400.0
#: How long a worker waits for a process that is being started, in seconds: longer than the pause before that.
START_SECONDS = 90.0
_TRY_SECONDS = 0.1
#: How often a question is asked that changes nothing, where the process ends over it.
TRIES = 3

_LENGTH = struct.Struct("!Q")
_PEER = struct.Struct("3i")

log = logging.getLogger(__name__)


class NoService(Exception):
    """The process could not be asked, and has done nothing; the message says why in words."""


class NoServiceAnswer(Exception):
    """The process was asked and gave no answer: whether it did what it was asked for is not known."""


def serve(end: ServiceEnd, title: str, prepare: Callable[[], None], answer: Answer) -> int:
    """Answer workers until the supervisor is gone; returns the exit code of the process.

    ``prepare`` is called once, in a thread of its own, for what would take the first question long. ``answer`` is
    called from many threads. What it raises costs one worker its answer.
    """
    os.setsid()
    _raise_file_limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setproctitle(f"launchd: {title}")
    threading.Thread(target=prepare, name="prepare", daemon=True).start()
    # An error of the pipe: the supervisor is gone, or wants this one gone.
    with contextlib.suppress(OSError):
        try:
            server = RequestServer(Path(end.settings.socket), answer)
        except OSError as error:
            end.say_failed(f"Its socket {end.settings.socket} cannot be made: {error.strerror or error}.")
            return WorkerExit.DONE
        with server:
            _serve_until_over(server, end)
    return WorkerExit.DONE


def _serve_until_over(server: "RequestServer", end: ServiceEnd) -> None:
    while not _is_supervisor_gone(end.settings.heartbeat_seconds):
        if not server.is_reachable():
            end.say_failed(f"Its socket {end.settings.socket} was removed.")
            return
        end.say_alive()


def _raise_file_limit() -> None:
    """Raise the soft limit of open files, usually 1,024: each question has two, its worker's and the cloud's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_supervisor_gone(seconds: float) -> bool:
    """Return whether the supervisor ends within ``seconds``."""
    parent = parent_process()
    return bool(connection.wait([] if parent is None else [parent.sentinel], seconds))


class RequestServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens at a path, as a context.

    Each request has a thread of its own, so that one that waits long keeps no other waiting. A worker has two at most.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        self._path = path
        # One that died has left its socket.
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            super().__init__(str(path), _Request)
        finally:
            os.umask(before)
        self._made = _file_at(path)

    def is_reachable(self) -> bool:
        """Return whether the socket is still at its path: one that an administrator removed is asked by no worker."""
        return self._made is not None and _file_at(self._path) == self._made

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, name="requests", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def verify_request(self, request: socket.socket, client_address: object) -> bool:  # type: ignore[override] # noqa: ARG002 (the base class's)
        """Return whether the agent's own user asks; the directory of the socket sees to that as well."""
        return _user_of(request) == os.geteuid()

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 (the base class's)
        """Note what came of a request that could not be answered."""
        log.exception("A request of a worker could not be answered.")  # noqa: LOG004 (called by who handles it)


class _Request(socketserver.BaseRequestHandler):
    server: RequestServer

    def handle(self) -> None:
        asking: socket.socket = self.request
        asking.settimeout(REQUEST_SECONDS)
        try:
            content = _receive(asking)
            # A worker that has died meanwhile, or has given up, is followed by one that asks anew.
            if not _is_left(asking):
                _send(asking, self.server.answer(content))
        except (OSError, EOFError) as error:
            log.debug("A worker left before it had its answer.", extra={"error": str(error)})


def nothing_to_note() -> None:
    """Do nothing before a question is asked."""


def ask(path: str, content: bytes, *, changes: bool, asking: Callable[[], None] = nothing_to_note) -> bytes:
    """Return the answer of the process that listens at ``path``.

    Where that ends over the question, one that ``changes`` nothing in the cloud is asked again. ``asking`` is called
    once the process is there, before it knows anything; what it raises is raised, and nothing was asked.

    Raises:
        NoService: there is none, nor came one within a minute and a half.
        NoServiceAnswer: it ended, or did not answer.
    """
    tries = 1 if changes else TRIES
    for left in reversed(range(tries)):
        with _connected(path) as asked:
            asking()
            try:
                return _answer_to(content, asked)
            except (OSError, EOFError) as error:
                if not left:
                    raise NoServiceAnswer("it ended before it had answered") from error
    raise AssertionError("the last try answers or raises")


def _answer_to(content: bytes, asked: socket.socket) -> bytes:
    """Return an answer; raises as :func:`ask`, ``OSError`` or ``EOFError`` where the process ends."""
    asked.settimeout(ANSWER_SECONDS)
    try:
        _send(asked, content)
        return _receive(asked)
    except TimeoutError as error:
        raise NoServiceAnswer(f"it did not answer within {ANSWER_SECONDS:g} s") from error


def _connected(path: str) -> socket.socket:
    deadline = time.monotonic() + START_SECONDS
    while True:
        asked = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            asked.settimeout(REQUEST_SECONDS)
            asked.connect(path)
        except OSError as error:
            asked.close()
            if time.monotonic() > deadline:
                raise NoService(f"it could not be reached: {error.strerror or error}") from error
            time.sleep(_TRY_SECONDS)
        else:
            return asked


def _send(to: socket.socket, content: bytes) -> None:
    to.sendall(_LENGTH.pack(len(content)) + content)


def _receive(source: socket.socket) -> bytes:
    """Return what comes next; raises ``EOFError`` where it does not come whole, ``OSError`` where it is too long."""
    (length,) = _LENGTH.unpack(_read(source, _LENGTH.size))
    if length > MOST_BYTES:
        raise OSError(f"{length} bytes are more than a request or its answer has")
    return _read(source, length)


def _read(source: socket.socket, length: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < length:
        piece = source.recv(min(length - len(pieces), 1 << 20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)


def _is_left(asking: socket.socket) -> bool:
    """Return whether the other end of a connection is closed: it says nothing more otherwise."""
    poll = select.poll()
    poll.register(asking, select.POLLIN | select.POLLRDHUP)
    return bool(poll.poll(0))


def _file_at(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at ``path`` from any other, None where there is none to be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _user_of(peer: socket.socket) -> int:
    _, user, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(user)
