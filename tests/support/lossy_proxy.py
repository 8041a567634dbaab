"""A proxy before a queue server that passes everything on and, where told so, loses an answer.

What was asked has happened then, and who asked cannot know.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


class LossyProxy(ThreadingHTTPServer):
    """The proxy; ``to_lose`` says how many answers to an operation are still to be lost."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.lock = threading.Lock()
        self.to_lose: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed in the middle of a word."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def loses(self, operation: str) -> bool:
        """Note a request; returns whether its answer is to be lost."""
        with self.lock:
            self.asked[operation] += 1
            lose = self.to_lose[operation] > 0
            if lose:
                self.to_lose[operation] -= 1
                self.lost[operation] += 1
            return lose


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LossyProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        try:
            answer = requests.post(f"{self.server.target}{self.path}", data=body, headers=headers, timeout=60)
        except requests.RequestException:
            # The server is gone, and so is our connection.
            self.close_connection = True
            return
        if self.server.loses(json.loads(body)["operationName"]):
            self.close_connection = True
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Say nothing."""


@contextmanager
def lossy_proxy(target: str) -> Iterator[LossyProxy]:
    """A running proxy before the server at ``target``."""
    proxy = LossyProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
