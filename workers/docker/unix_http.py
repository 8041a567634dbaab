"""HTTP over a unix socket, as container engines serve it: one connection for each request.

The standard library's, on purpose: the first request by the SDK's takes each worker five megabytes of its own.
"""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import msgspec

#: How many bytes of a stream are read at most at a time.
_PIECE = 1 << 16
_OK = 400


class Refused(Exception):
    """The other side's refusal: HTTP's ``status``, and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, connect_seconds: float, seconds: float | None) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._connect_seconds = connect_seconds

    def connect(self) -> None:
        """Connect to the socket; the limit for that is another one than for answers."""
        self.sock = connected(self._path, self._connect_seconds)
        self.sock.settimeout(self.timeout)


def connected(path: str, seconds: float) -> socket.socket:
    """Return a connection to the socket at ``path``; raises :class:`OSError`."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


class UnixHttp:
    """The server at the socket ``path``. May be used by several threads."""

    def __init__(self, path: str, connect_seconds: float) -> None:
        self._path = path
        self._connect_seconds = connect_seconds

    def ask(
        self, method: str, target: str, params: Mapping[str, Any], body: Any, seconds: float | None
    ) -> dict[str, Any] | list[Any] | None:
        """Return the JSON of an answer, ``None`` of one without content.

        ``body`` is sent as it is where it is bytes, and else as JSON.

        Raises:
            Refused: the answer is an error.
            OSError, http.client.HTTPException: there is none, or not to its end.
        """
        with self._answer(method, target, params, body, seconds) as answer:
            data = answer.read()
        return msgspec.json.decode(data) if data.strip() else None

    def header(self, target: str, params: Mapping[str, Any], name: str, seconds: float) -> str | None:
        """Return one header of the answer about ``target``, ``None`` where it has none; raises as :meth:`ask` does."""
        with self._answer("HEAD", target, params, None, seconds) as answer:
            return answer.getheader(name)

    @contextmanager
    def stream(self, target: str, params: Mapping[str, Any]) -> Iterator[Iterator[bytes]]:
        """Give what an answer has, in pieces as they come; raises as :meth:`ask` does."""
        with self._answer("GET", target, params, None, None) as answer:
            yield iter(lambda: answer.read1(_PIECE), b"")

    @contextmanager
    def _answer(
        self, method: str, target: str, params: Mapping[str, Any], body: Any, seconds: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self._path, self._connect_seconds, seconds)
        try:
            where = f"{target}?{urlencode(params)}" if params else target
            connection.request(method, where, *_content(body))
            answer = connection.getresponse()
            if answer.status >= _OK:
                raise Refused(answer.status, words_of(answer.read()))
            yield answer
        finally:
            connection.close()


def _content(body: Any) -> tuple[bytes | None, dict[str, str]]:
    match body:
        case None:
            return None, {}
        case bytes():
            return body, {"Content-Type": "application/x-tar"}
        case _:
            return msgspec.json.encode(body), {"Content-Type": "application/json"}


def words_of(data: bytes) -> str:
    """Return what an engine's answer says of an error."""
    text = data.decode(errors="replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text
