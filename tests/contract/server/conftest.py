"""One server for all tests that neither kill it nor fill it; each test makes queues of its own."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.people import People
from tests.support.people import people as make_people
from tests.support.server import Api, RunningServer, fresh_name, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    with server.api() as client:
        yield client


@pytest.fixture
def people(server: RunningServer) -> Iterator[People]:
    with make_people(server) as made:
        yield made


@dataclass(frozen=True)
class Stage:
    """A queue, and an agent that serves it."""

    queue: str
    queue_id: str
    agent: str


@pytest.fixture
def stage(api: Api) -> Stage:
    queue = fresh_name("queue")
    queue_id = api.create_queue(queue)
    return Stage(queue, queue_id, api.create_agent(queue_id))
