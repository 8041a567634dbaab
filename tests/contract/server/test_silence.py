"""Stalled senders that do not close the connection, as after a failure of their machine or network."""

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.contract.server.test_artifacts import Logging
from tests.contract.server.test_collection import files_of
from tests.support.runs import ClientRun
from tests.support.server import Api, RunningServer, running_server
from tests.support.waiting import wait_until

SIZE = 3_000_000
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


def upload_link(api: Api) -> str:
    return str(Logging(api, {"a": b"z" * SIZE}).announce()[0]["uploadUrl"])


def run_upload_link(api: Api) -> str:
    return ClientRun(api).announce("a")[0]["uploadUrl"]


TARGETS: dict[str, tuple[str, Callable[[Api], str]]] = {
    "a file of an artifact": ("PUT", upload_link),
    "a file of a run": ("PUT", run_upload_link),
    "a query": ("POST", lambda api: f"{api.url}/graphql"),
    "a file stream": ("POST", lambda api: f"{api.url}/files/me/proj/{ClientRun(api).name}/file_stream"),
}


@contextmanager
def begun(api: Api, target: str, some: bytes) -> Iterator[socket.socket]:
    """Send the first bytes of a request and leave it at that."""
    method, find = TARGETS[target]
    address = urlsplit(find(api))
    key = base64.b64encode(f"api:{api.key}".encode()).decode()
    head = (
        f"{method} {address.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {key}\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=20) as connection:
        connection.sendall(head.encode() + some)
        yield connection


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
