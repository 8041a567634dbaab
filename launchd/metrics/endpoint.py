"""The HTTP endpoint that Prometheus reads: `GET /metrics` over a socket that listens already, and nothing else.

On loopback every user of the host reaches it. So few requests are answered at a time, each has a limit of time, the one
that takes the longest makes way for another, and the figures are read once a second at most.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from launchd.metrics.exposition import rendered
from launchd.metrics.model import Family

PATH = "/metrics"

#: So many requests are answered at a time; a further one has the oldest cut off.
MAX_REQUESTS = 8

#: How long it may take until one that was cut off is gone, in seconds: its answer may be in the making.
MAKE_WAY_SECONDS = 1.0

#: How long a client may take over its request, in seconds.
REQUEST_SECONDS = 5.0

#: How long the figures of one moment are given again, in seconds.
KEPT_SECONDS = 1.0


class NoFigures(Exception):
    """The figures cannot be read now; the message says why."""


class Endpoint(ThreadingHTTPServer):
    """Serves what ``read`` returns; it may raise :class:`NoFigures`, and is called by one thread at a time."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, read: Callable[[], Sequence[Family]]) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self._read = read
        self._room = threading.BoundedSemaphore(MAX_REQUESTS)
        #: In the order in which they came.
        self._open: dict[socket.socket, None] = {}
        self._reading = threading.Lock()
        self._families: Sequence[Family] = ()
        self._read_at = float("-inf")

    def figures(self) -> Sequence[Family]:
        """Return the figures of this moment, or of one that is less than a second ago; raises :class:`NoFigures`."""
        with self._reading:
            if time.monotonic() - self._read_at > KEPT_SECONDS:
                self._families = self._read()
                self._read_at = time.monotonic()
            return self._families

    def start(self) -> None:
        """Serve in a thread of its own until :meth:`close`."""
        threading.Thread(target=self.serve_forever, args=(0.1,), name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop serving, after :meth:`start`; the socket is closed."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a client in a thread, as soon as there is room."""
        if not self._room.acquire(blocking=False):
            for oldest in list(self._open)[:1]:
                _cut_off(oldest)
            if not self._room.acquire(timeout=MAKE_WAY_SECONDS):
                self.shutdown_request(request)
                return
        self._open[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client; one that sends a byte now and then is cut off, too."""
        deadline = threading.Timer(REQUEST_SECONDS, _cut_off, (request,))
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            del self._open[request]
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left early."""


def _cut_off(request: socket.socket) -> None:
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        """Answer with the figures."""
        if self.path.partition("?")[0] != PATH:
            self._answer(HTTPStatus.NOT_FOUND, f"The figures are at {PATH}.\n".encode())
            return
        try:
            body, content_type = rendered(self.server.figures(), self.headers.get("Accept", ""))
        except NoFigures as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode())
        else:
            self._answer(HTTPStatus.OK, body, content_type)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """Return nothing: the client of a unix socket has no address."""
        return ""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Say nothing: a request every few seconds is no event."""
