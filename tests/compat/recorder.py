"""A proxy before a queue server that keeps what clients ask in vain: documents unknown to the schema, and refusals."""

import http.client
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.support.http_servers import LocalServer, QuietHandler, serving

#: What tests ask in vain on purpose, or clients as a matter of course: a pattern for what is recorded, and the reason.
EXPECTED: Mapping[str, str] = {
    "401: This API key is not known": "tests log in with a wrong key",
    "401: No API key was sent": "clients up to 0.22.3 find no key after their own login (test_login)",
    "400: Template variable 'n' must be at most": "tests queue what a variable does not allow (test_launch_image)",
    "400: This server has no registries": "a link to a registry of an organization is refused (test_links)",
}

#: Headers between two neighbours alone.
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization"}
_NUMBERS = re.compile(r"/storage/([\w-]+)/.*")
_TIMEOUT_SECONDS = 120.0


class Recorder(LocalServer):
    """The proxy. Answers are passed on as they are."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(_Handler)
        self.target = urlsplit(target)
        self._lock = threading.Lock()
        self._in_vain: list[str] = []

    def unexpected(self) -> list[str]:
        """What was asked in vain since the last call, and is not listed as expected."""
        with self._lock:
            found, self._in_vain = self._in_vain, []
        return [one for one in dict.fromkeys(found) if not any(re.search(pattern, one) for pattern in EXPECTED)]

    def record(self, method: str, path: str, body: bytes, status: int, answer: bytes) -> None:
        """Keep a request and its answer, if that is none."""
        messages = _messages(answer)
        if status < 400 and not any(map(_is_unknown, messages)):
            return
        place = _NUMBERS.sub(r"/storage/\1", path.partition("?")[0])
        asked = f" {_operation(body)}" if place == "/graphql" else ""
        with self._lock:
            self._in_vain.append(f"{method} {place}{asked} {status}: {'; '.join(messages)}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that left in the middle of a word."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _messages(answer: bytes) -> list[str]:
    try:
        told = json.loads(answer)
    except ValueError:
        return []
    errors = told.get("errors") if isinstance(told, dict) else None
    return [str(error.get("message")) for error in errors or () if isinstance(error, dict)]


def _is_unknown(message: str) -> bool:
    return message.startswith(("Cannot query field", "Unknown argument", "Unknown type", "Unknown fragment"))


def _operation(body: bytes) -> str:
    found = re.search(r"\b(?:query|mutation)\s+(\w+)", json.loads(body or b"{}").get("query") or "")
    return found[1] if found else "?"


class _Handler(QuietHandler):
    server: Recorder

    def setup(self) -> None:
        super().setup()
        target = self.server.target
        self._upstream = http.client.HTTPConnection(target.hostname or "", target.port, timeout=_TIMEOUT_SECONDS)

    def finish(self) -> None:
        self._upstream.close()
        super().finish()

    def _pass_on(self) -> None:
        body = self._body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["Content-Length"] = str(len(body))
        try:
            self._upstream.request(self.command, self.path, body, headers)
            answer = self._upstream.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            # The server is gone, and so is our connection.
            self._upstream.close()
            self.close_connection = True
            return
        self.server.record(self.command, self.path, body, answer.status, content)
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _pass_on  # noqa: N815 - names that http.server looks for

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().partition(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk


@contextmanager
def recorder(target: str) -> Iterator[Recorder]:
    """A running recorder before the server at ``target``."""
    with serving(Recorder(target)) as running:
        yield running
