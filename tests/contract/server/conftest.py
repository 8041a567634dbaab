"""One server per kind of store for all tests that neither kill it nor fill it; each test makes queues of its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.support.accounts import Accounts
from tests.support.accounts import make_accounts as make_people
from tests.support.postgres import Cluster
from tests.support.server import SHARED, Api, RunningServer, fresh_name, running_server, stored_in

NewDatabase = Callable[[], str]


@pytest.fixture(scope="module", autouse=True, params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Iterator[NewDatabase | None]:
    """The store of every server in a test: the whole suite holds for both databases."""
    new_database = None
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        new_database = cluster.fresh_database
    with stored_in(new_database):
        yield new_database


@pytest.fixture(scope="module")
def server(store: NewDatabase | None, request: pytest.FixtureRequest) -> RunningServer:
    running: RunningServer = request.getfixturevalue("queue_server" if store is None else "postgresql_server")
    return running


@pytest.fixture(scope="session")
def postgresql_server(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    directory = tmp_path_factory.mktemp("server")
    with stored_in(cluster.fresh_database), running_server(directory, *SHARED) as running:
        yield running


@pytest.fixture
def api(server: RunningServer) -> Iterator[Api]:
    with server.api() as client:
        yield client


@pytest.fixture
def accounts(server: RunningServer) -> Iterator[Accounts]:
    with make_people(server) as made:
        yield made


@dataclass(frozen=True)
class QueueAndAgent:
    """A queue, and an agent that serves it."""

    queue: str
    queue_id: str
    agent: str


@pytest.fixture
def queue_and_agent(api: Api) -> QueueAndAgent:
    queue = fresh_name("queue")
    queue_id = api.create_queue(queue)
    return QueueAndAgent(queue, queue_id, api.create_agent(queue_id))
