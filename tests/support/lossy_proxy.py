"""A proxy before a queue server that passes everything on and, where told so, loses an answer.

What was asked has happened then, and who asked cannot know.
"""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.support.http_servers import LocalServer, QuietHandler, serving


class LossyProxy(LocalServer):
    """The proxy; ``to_lose`` says how many answers to an operation are still to be lost."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(_Handler)
        self.target = target
        self.lock = threading.Lock()
        self.to_lose: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed in the middle of a word."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def loses(self, operation: str) -> bool:
        """Note a request; returns whether its answer is to be lost."""
        with self.lock:
            self.asked[operation] += 1
            lose = self.to_lose[operation] > 0
            if lose:
                self.to_lose[operation] -= 1
                self.lost[operation] += 1
            return lose


class _Handler(QuietHandler):
    server: LossyProxy

    def do_POST(self) -> None:  # noqa: N802 - the name that http.server looks for
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
        self.answer(answer.status_code, answer.content)


@contextmanager
def lossy_proxy(target: str) -> Iterator[LossyProxy]:
    """A running proxy before the server at ``target``."""
    with serving(LossyProxy(target)) as proxy:
        yield proxy
