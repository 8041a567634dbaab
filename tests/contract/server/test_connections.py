"""Connections without a request, or with an unfinished one: they are closed, and cost little until then."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.artifacts import Logging, content
from tests.support.half_requests import SIZE, begun
from tests.support.server import RunningServer, fresh_name, running_server

# Nothing of this comes as far as the store.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

IDLE_SECONDS = 2
PATIENCE = 20.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
UNINVITED = b"POST /graphql HTTP/1.1\r\nHost: x\r\n"
"""Without a key, so it is answered as soon as its header is complete."""


@pytest.fixture(scope="module")
def hasty(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    options = ("--idle-seconds", str(IDLE_SECONDS))
    with running_server(tmp_path_factory.mktemp("hasty"), *options) as server:
        yield server


def connect(server: RunningServer) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((str(address.hostname), address.port or 80), timeout=PATIENCE)


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


BEGINNINGS = {
    "nothing": (b"", b""),
    "half a request line": (b"", b"POST /gra"),
    "half a header": (b"", UNINVITED + b"Authoriz"),
    "half a second header": (HEALTH + b"\r\n", HEALTH),
    "half a body of which nothing is wanted": (UNINVITED + b"Content-Length: 1000\r\n\r\n", b"{"),
}
"""A request that is answered, and bytes sent after the response."""


def test_a_sender_that_stops_before_a_request_is_given_up(hasty: RunningServer) -> None:
    with ExitStack() as stack:
        opened = {name: stack.enter_context(connect(hasty)) for name in BEGINNINGS}
        for name, (request, beginning) in BEGINNINGS.items():
            opened[name].sendall(request)
            assert not request or opened[name].recv(4096).startswith(b"HTTP/1.1 ")
            opened[name].sendall(beginning)
        assert {name: is_closed(connection) for name, connection in opened.items()} == dict.fromkeys(BEGINNINGS, True)


@pytest.mark.parametrize("beginning", [HEALTH + b"A: ", UNINVITED + b"Content-Length: 1000\r\n\r\n"])
def test_a_byte_now_and_then_gains_nothing(hasty: RunningServer, beginning: bytes) -> None:
    with connect(hasty) as connection, suppress(ConnectionError):
        connection.sendall(beginning)
        connection.settimeout(0.1)
        given_up_at = time.monotonic() + PATIENCE
        ended = False
        while not ended:
            assert time.monotonic() < given_up_at
            connection.sendall(b"a")
            with suppress(TimeoutError):
                ended = connection.recv(4096) == b""


def test_an_answer_that_is_not_read_is_given_up(hasty: RunningServer) -> None:
    with hasty.api() as api:
        logged = Logging(api, {"a": content(30_000_000)}).log()
        edges: Any = logged.look("files { edges { node { directUrl } } }")["files"]
        link = urlsplit(edges["edges"][0]["node"]["directUrl"])
    request = f"GET {link.path}?{link.query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with connect(hasty) as silent, connect(hasty) as reader:
        for connection in (silent, reader):
            connection.sendall(request)
        # Long enough for the other one, in steps that the kernel passes on at once: it tells of no room that is small.
        read, given_up_at = 0, time.monotonic() + PATIENCE
        while _is_connected(silent):
            assert time.monotonic() < given_up_at
            read += len(reader.recv(1_000_000, socket.MSG_WAITALL)) if read < 25_000_000 else 0
            time.sleep(0.2)
        assert _is_connected(reader)
        while read < 30_000_000:
            piece = reader.recv(1_000_000)
            assert piece, "one that reads slowly gets all of it"
            read += len(piece)


def _is_connected(connection: socket.socket) -> bool:
    """Whether the server still has the other side of a connection."""
    ends = connection.getpeername()[1], connection.getsockname()[1]
    return any(
        (one.laddr.port, one.raddr.port) == ends and one.status == psutil.CONN_ESTABLISHED
        for one in psutil.net_connections("tcp")
        if one.raddr
    )


def test_a_request_may_take_longer(hasty: RunningServer) -> None:
    with hasty.api() as api, begun(api, "a file of a run", b"") as connection:
        agent = api.create_agent(api.create_queue(fresh_name("queue")))
        assert api.claim(agent, "claim", wait=IDLE_SECONDS + 1) == []
        connection.sendall(b"z" * SIZE)
        assert b" 200 " in connection.recv(4096)


ENDLESS = {
    "an address": (b"GET /", b"a" * 60_000),
    "a header": (HEALTH + b"A: ", b"a" * 60_000),
    "headers": (HEALTH, b"A: b\r\n" * 10_000),
    "trailers": (UNINVITED + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"A: b\r\n" * 10_000),
    "a chunk's extension": (UNINVITED + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 60_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_header_without_an_end_is_refused(server: RunningServer, kind: str) -> None:
    beginning, more = ENDLESS[kind]
    with connect(server) as connection, pytest.raises(ConnectionError):
        connection.sendall(beginning + more * 400)
