"""A container engine on a socket that makes no containers: it keeps what it was asked to create."""

import json
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: That of Docker 20.10.
_API_VERSION = "1.41"
_CONTAINER = re.compile(r"/containers/(?P<name>[^/]+)/(?P<part>json|start)")


class EngineRecorder(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The engine; ``created`` is what it was asked for, in order: the bodies of the requests."""

    daemon_threads = True
    #: On a socket of this kind who comes while the queue is full is refused at once.
    request_queue_size = 128

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.address = f"unix://{path}"
        self.created: list[dict[str, Any]] = []
        self.named: dict[str, dict[str, Any]] = {}


class _Handler(BaseHTTPRequestHandler):
    server: EngineRecorder
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_GET(self) -> None:
        path = self._path()
        found = _CONTAINER.search(path)
        if path.endswith("/_ping"):
            self._answer(200, b"OK")
        elif path.endswith("/version"):
            self._say(200, {"Version": "20.10", "ApiVersion": _API_VERSION, "MinAPIVersion": "1.12"})
        elif found is not None and found["name"] in self.server.named:
            self._say(200, self.server.named[found["name"]])
        else:
            self._say(404, {"message": "there is none"})

    def do_PUT(self) -> None:
        # Files for a container, as one archive.
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self._path().endswith("/containers/create"):
            self._create(json.loads(body))
        else:
            self._answer(204, b"")

    def _create(self, asked: dict[str, Any]) -> None:
        self.server.created.append(asked)
        name = parse_qs(urlsplit(self.path).query).get("name", [""])[0]
        number = f"{len(self.server.created):064x}"
        config = {key: asked.get(key) for key in ("Labels", "Image")}
        for one in (name, number):
            self.server.named[one] = {"Id": number, "State": {"Status": "created"}, "Config": config}
        self._say(201, {"Id": number, "Warnings": []})

    def _path(self) -> str:
        return urlsplit(self.path).path

    def _say(self, status: int, said: Any) -> None:
        self._answer(status, json.dumps(said).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        headers = {
            "API-Version": _API_VERSION,
            "OSType": "linux",
            "Content-Type": kind,
            "Content-Length": str(len(body)),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        # Not all clients wait for an answer without content.
        with suppress(BrokenPipeError):
            self.end_headers()
            self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing."""


@contextmanager
def engine_recorder(path: Path) -> Iterator[EngineRecorder]:
    """Run one at the socket ``path`` while the block lasts."""
    with EngineRecorder(path) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
