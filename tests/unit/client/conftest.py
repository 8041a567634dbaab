"""A real queue server, and a client of it."""

from collections.abc import Iterator

import pytest

from launchd.client.queue_server import QueueServer
from tests.support.server import RunningServer

ENTITY = "me"


@pytest.fixture
def running(queue_server: RunningServer) -> RunningServer:
    return queue_server


@pytest.fixture
def launchd_server(running: RunningServer) -> Iterator[QueueServer]:
    client = QueueServer(running.url, running.key)
    yield client
    client.close()
