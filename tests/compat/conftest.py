"""For each version of W&B's client: the client, a house of ours (queue server and agent), and somebody's desk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compat.clients import VERSIONS, WandbClient, find
from tests.compat.jobs import code_directory
from tests.compat.names import ARTIFACT, ARTIFACTS, RUNS
from tests.compat.report import PROPERTY
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api
from tests.support.testbed import Testbed, make_testbed

HERE = Path(__file__).parent
#: Longest time, in seconds, for one of these tests: a client takes seconds to start.
TEST_SECONDS = 120


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        version = _version_of(item)
        if version is not None:
            _prepare(item, version)


def _version_of(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return call.params.get("client") if call is not None and HERE in item.path.parents else None


def _prepare(item: pytest.Item, version: str) -> None:
    if item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    for mark in item.iter_markers("command"):
        item.user_properties += [(PROPERTY, [row, version]) for row in mark.args]


@pytest.fixture(scope="session", params=VERSIONS)
def client(request: pytest.FixtureRequest) -> WandbClient:
    return find(request.param)


@pytest.fixture(scope="session")
def directory(client: WandbClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the desk is."""
    return tmp_path_factory.mktemp(f"desk-{client.version}")


@pytest.fixture(scope="session")
def testbed(client: WandbClient, directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A queue server with the queue `default`, and our agent serving it; its jobs have the client."""
    with make_testbed(tmp_path_factory.mktemp(f"house-{client.version}")) as opened:
        path = f"{client.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        opened.start_agent(PATH=path, GIT_CONFIG_GLOBAL=str(directory / "gitconfig"))
        yield opened


@pytest.fixture
def api(testbed: Testbed) -> Iterator[Api]:
    """What the server knows, asked as the admin."""
    with testbed.server.api() as opened:
        yield opened


@pytest.fixture(scope="session")
def wandb_env(client: WandbClient, testbed: Testbed, directory: Path) -> WandbEnv:
    return WandbEnv.set_up(client, directory, testbed.server.url, testbed.server.key)


@pytest.fixture(scope="session")
def job(wandb_env: WandbEnv) -> str:
    """Name of a job that was made from a directory."""
    directory = code_directory(wandb_env, "of-job")
    wandb_env.wandb("job", "create", "code", str(directory), "-p", "launched", "-n", "made", "-E", "python train.py")
    return "me/launched/made:latest"


# What the scripts answered; each runs once for all tests of a version.


@pytest.fixture(scope="session")
def logged_runs(wandb_env: WandbEnv) -> dict[str, Any]:
    answer: dict[str, Any] = wandb_env.script("runs", project=RUNS)
    return answer


@pytest.fixture(scope="session")
def logged_artifacts(wandb_env: WandbEnv) -> dict[str, Any]:
    answer: dict[str, Any] = wandb_env.script("artifacts", project=ARTIFACTS, name=ARTIFACT)
    return answer
