"""Stalled senders that do not close the connection, as after a failure of their machine or network."""

from collections.abc import Iterator
from contextlib import suppress

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
