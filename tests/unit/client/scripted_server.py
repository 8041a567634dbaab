"""A real HTTP server on a real socket whose responses and faults are scripted by a test."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from tests.support.http_servers import LocalServer, QuietHandler, serving

KEY = "k" * 40


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    method: str
    path: str
    headers: Message
    body: bytes

    @property
    def operation(self) -> str:
        return str(json.loads(self.body)["operationName"])

    @property
    def variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = json.loads(self.body)["variables"]
        return variables

    @property
    def query(self) -> str:
        return str(json.loads(self.body)["query"])


@dataclass(frozen=True)
class Reply:
    """A whole response."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Fault(Exception):
    """A fault in place of a response; acts on the connection."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self.act = act


Script = Callable[[Request], Reply]


class ScriptedServer(LocalServer):
    """Answers by its script; `requests` has all requests."""

    daemon_threads = False

    def __init__(self, script: Script) -> None:
        super().__init__(_Handler)
        self.script = script
        self.requests: list[Request] = []
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def close_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        assert isinstance(request, socket.socket)
        self._open.discard(request)
        super().close_request(request)

    def hang_up(self) -> None:
        """End hanging answers, and all connections, also those that a client keeps for its next request."""
        self.ending.set()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(QuietHandler):
    server: ScriptedServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, self.headers, body)
        self.server.requests.append(request)
        try:
            reply = self.server.script(request)
            self.answer(reply.status, reply.body, reply.headers)
        except Fault as fault:
            fault.act(self.connection)
            self.close_connection = True

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - names that http.server looks for


@contextmanager
def scripted_server(script: Script) -> Iterator[ScriptedServer]:
    """A running server; hanging answers end with it."""
    with serving(ScriptedServer(script)) as server:
        yield server


def data(result: object) -> Reply:
    """The response to an operation, whose root field has the alias `result`."""
    return Reply(body=json.dumps({"data": {"result": result}}).encode())


def errors(status: int, *messages: str, **headers: str) -> Reply:
    """A refusal in the form of W&B's servers."""
    body = json.dumps({"errors": [{"message": message} for message in messages]}).encode()
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def reset(connection: socket.socket) -> None:
    """End the connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang_up(connection: socket.socket) -> None:
    """End the connection without a response."""
    connection.shutdown(socket.SHUT_RDWR)


def half_an_answer(connection: socket.socket) -> None:
    """Send a part of the announced body, then end the connection."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    connection.shutdown(socket.SHUT_RDWR)
