"""One real queue server for all tests of the client, and a client of it."""

from collections.abc import Iterator

import pytest

from launchd.client.queue_server import QueueServer
from tests.support.server import RunningServer, running_server

ENTITY = "me"


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("queue-server")) as server:
        yield server


@pytest.fixture
def launchd_server(running: RunningServer) -> Iterator[QueueServer]:
    client = QueueServer(running.url, running.key)
    yield client
    client.close()
