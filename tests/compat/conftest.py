"""For each version of W&B's client: the client, a house of ours (queue server and agent), and somebody's desk."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.clients import VERSIONS, WandbClient, find
from tests.compat.desk import Desk
from tests.compat.report import PROPERTY
from tests.support.house import House, house
from tests.support.server import Api

HERE = Path(__file__).parent
#: Longest time, in seconds, for one of these tests: a client takes seconds to start.
TEST_SECONDS = 120


# Before xdist looks for groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        version = _version_of(item)
        if version is not None:
            _prepare(item, version)


def _version_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return call.params.get("client") if call is not None and HERE in item.path.parents else None


def _prepare(item: pytest.Item, version: str) -> None:
    # One version is one process's work: its server is started once, and two versions run beside each other.
    item.add_marker(pytest.mark.xdist_group(f"wandb-{version}"))
    item.add_marker(pytest.mark.timeout(TEST_SECONDS), append=False)
    for mark in item.iter_markers("command"):
        item.user_properties += [(PROPERTY, [row, version]) for row in mark.args]


@pytest.fixture(scope="session", params=VERSIONS)
def client(request: pytest.FixtureRequest) -> WandbClient:
    return find(request.param)


@pytest.fixture(scope="session")
def home(client: WandbClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A queue server with the queue `default`, and our agent serving it."""
    with house(tmp_path_factory.mktemp(f"house-{client.version}")) as opened:
        opened.start_agent(PATH=f"{client.home / 'bin'}:/usr/bin:/bin")
        yield opened


@pytest.fixture
def api(home: House) -> Iterator[Api]:
    """What the server knows, asked as the admin."""
    with home.server.api() as opened:
        yield opened


@pytest.fixture(scope="session")
def desk(client: WandbClient, home: House, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    directory = tmp_path_factory.mktemp(f"desk-{client.version}")
    return Desk.set_up(client, directory, home.server.url, home.server.key)
