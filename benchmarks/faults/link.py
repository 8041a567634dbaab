"""A proxy between agent and queue server that loses, delays, repeats and replaces what passes through it."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import requests

from tests.support.http_servers import LocalServer, QuietHandler, serving

#: How much of the requests a fault is done to.
SHARE = 0.8

#: The longest delay of one request, in seconds.
LONGEST_DELAY = 2.0

#: An answer of the queue server takes at most this long, in seconds.
ANSWER_SECONDS = 60.0

#: Answers that are no answers of the queue server: status, type and body.
FOREIGN = {
    "302": (302, "text/html", b"<html><body>Please log in.</body></html>"),
    "404 JSON": (404, "application/json", b'{"message": "no route matched", "errors": "not found"}'),
    "404 HTML": (404, "text/html", b"<html><body>Not found</body></html>"),
    "500": (500, "text/html", b"<html><body>Internal error</body></html>"),
}


class Link(LocalServer):
    """The proxy; ``fault`` is what happens to requests now, ``None`` where they pass."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(_Handler)
        self.target = target
        self._fault: str | None = None
        self._changed = threading.Condition()
        self._random = Random()

    @property
    def fault(self) -> str | None:
        """What is done to requests, a kind of the group ``link`` without the group; ``None``: they pass."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    def heal(self) -> None:
        """Let requests pass again."""
        self.fault = None

    def fault_of_request(self) -> str | None:
        """Return what is done to the next request."""
        return self._fault if self._random.random() < SHARE else None

    def wait_for_change(self, fault: str | None, timeout: float) -> None:
        """Wait until the fault is another one, at most ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._fault != fault, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that were killed in the middle of a request."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(QuietHandler):
    server: Link

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server looks for
        self._handle()

    def do_POST(self) -> None:  # noqa: N802
        self._handle()

    def do_PUT(self) -> None:  # noqa: N802
        self._handle()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault_of_request()
        if fault in FOREIGN:
            status, kind, text = FOREIGN[fault]
            self.answer(status, text, {"Content-Type": kind, "Location": f"{self.server.url}/login"})
            return
        match fault:
            case "request lost":
                self.close_connection = True
                return
            case "silence":
                self.server.wait_for_change(fault, ANSWER_SECONDS)
                self.close_connection = True
                return
            case "delay":
                time.sleep(LONGEST_DELAY * self.server._random.random())
            case "request repeated":
                self._ask(body)
            case _:
                pass
        self._pass_on(body, fault)

    def _pass_on(self, body: bytes, fault: str | None) -> None:
        answer = self._ask(body)
        if answer is None or fault == "answer lost":
            self.close_connection = True
        elif fault == "answer cut":
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content[: len(answer.content) // 2])
            self.close_connection = True
        else:
            self.answer(answer.status_code, answer.content, {"Content-Type": answer.headers.get("Content-Type", "")})

    def _ask(self, body: bytes) -> requests.Response | None:
        headers = {name: value for name in ("Authorization", "Content-Type") if (value := self.headers.get(name))}
        try:
            return requests.request(
                self.command,
                f"{self.server.target}{self.path}",
                data=body,
                headers=headers,
                timeout=ANSWER_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            return None


@contextmanager
def open_link(target: str) -> Iterator[Link]:
    """A running proxy before the queue server at ``target``."""
    with serving(Link(target)) as link:
        try:
            yield link
        finally:
            link.fault = None
