"""Stalled senders that do not close the connection, as after a failure of their machine or network."""

import http.client
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.artifacts import files_of
from tests.support.half_requests import SIZE, TARGETS, begun
from tests.support.runs import ClientRun
from tests.support.server import Api, RunningServer, running_server
from tests.support.waiting import wait_until

SOME = b"z" * 20_000
"""Small enough to be sent at once, on a busy machine too."""


@pytest.fixture(scope="module")
def impatient(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server with a body timeout of a second, and room for one of the files."""
    options = ("--body-timeout-seconds", "1", "--max-store-bytes", str(SIZE + 100_000))
    with running_server(tmp_path_factory.mktemp("impatient"), *options) as server:
        yield server


@pytest.fixture
def api(impatient: RunningServer) -> Iterator[Api]:
    with impatient.api() as client:
        yield client


@pytest.mark.parametrize("target", TARGETS)
def test_a_stalled_sender_is_given_up(api: Api, impatient: RunningServer, target: str) -> None:
    before = files_of(impatient)
    with begun(api, target, SOME) as connection:
        assert b" 503 " in connection.recv(4096)
        wait_until(lambda: files_of(impatient) == before, what="the removal of the beginning")


def test_the_space_of_a_stalled_upload_is_free_again(api: Api, impatient: RunningServer) -> None:
    before = files_of(impatient)
    with suppress(ConnectionError), begun(api, "a file of an artifact", b"z" * 2_000_000) as connection:
        connection.recv(4096)
    wait_until(lambda: files_of(impatient) == before, what="the removal of half a file")
    ClientRun(api).upload("a", b"y" * SIZE)


def test_a_sender_of_a_byte_now_and_then_is_given_up(api: Api) -> None:
    with begun(api, "a query", b"{") as connection:
        connection.settimeout(0.1)
        given_up_at = time.monotonic() + 20
        answer = b""
        while not answer:
            assert time.monotonic() < given_up_at
            connection.sendall(b" ")
            with suppress(TimeoutError):
                answer = connection.recv(4096)
        assert b" 503 " in answer


@pytest.fixture
def narrow(store: object, tmp_path: Path) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server with room for three bodies that are begun."""
    with running_server(tmp_path, "--max-unfinished-bytes", str(3 * SIZE)) as server:
        yield server


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_begun_requests_take_bounded_memory(narrow: RunningServer) -> None:
    with narrow.api() as api, ExitStack() as opened:
        some = b"{" + b" " * (SIZE - 100)
        begun_ones = [opened.enter_context(begun(api, "a query", some)) for _ in range(5)]
        wait_until(lambda: len(_readable(begun_ones)) == 2, what="two have made way")
        for one in _readable(begun_ones):
            answer = http.client.HTTPResponse(one)
            answer.begin()
            assert answer.status == 503
            assert b"took the longest: repeat it" in answer.read()
        assert api.run("{ viewer { username } }"), "others are answered"


def _readable(connections: list[socket.socket]) -> list[socket.socket]:
    return select.select(connections, [], [], 0)[0]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_body_of_which_nothing_is_kept_takes_no_memory(narrow: RunningServer) -> None:
    address = urlsplit(narrow.url)
    with ExitStack() as opened:
        head = f"POST /sdk/otel/v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n"
        connections = [
            opened.enter_context(socket.create_connection((str(address.hostname), address.port or 80)))
            for _ in range(5)
        ]
        for connection in connections:
            connection.sendall(head.encode() + b"z" * (SIZE - 1))
        for connection in connections:
            connection.sendall(b"z")
            assert b" 200 " in connection.recv(4096), "none had to make way"
