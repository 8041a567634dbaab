"""What HTTP servers written by tests share: a port of their own, a quiet handler, a thread while they are needed."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class LocalServer(ThreadingHTTPServer):
    """A server on a free port of ``host``, an address of this machine."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), handler)
        self.host = host

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.server_port}"

    def hang_up(self) -> None:
        """End what handlers still wait for; called before the server ends."""


class QuietHandler(BaseHTTPRequestHandler):
    """Says nothing of its requests, and keeps connections."""

    protocol_version = "HTTP/1.1"
    #: Otherwise a body waits 40 ms until the client has acknowledged the headers.
    disable_nagle_algorithm = True

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Say nothing."""


S = TypeVar("S", bound=LocalServer)


@contextmanager
def serving(server: S) -> Iterator[S]:
    """Run ``server`` while the block lasts; it is closed afterwards."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.hang_up()
        server.shutdown()
        thread.join()
        server.server_close()
