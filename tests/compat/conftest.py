"""For each version of W&B's client: the client, a testbed (queue server and agent), and the environment of a person."""

import dataclasses
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.compat.clients import NEWEST, USUAL, VERSIONS, WandbClient, find
from tests.compat.interpreter import interpreter
from tests.compat.jobs import code_directory
from tests.compat.kept import AnswerOf, Kept
from tests.compat.names import ARTIFACT, ARTIFACTS, RUNS
from tests.compat.recorder import recorder
from tests.compat.report import PROPERTY
from tests.compat.wandb_env import WandbEnv
from tests.support.long_tests import is_long
from tests.support.server import Api
from tests.support.testbed import Testbed, make_testbed

HERE = Path(__file__).parent
#: Longest time, in seconds, for one of these tests: a client takes seconds to start.
TEST_SECONDS = 300
RECORDER = "recorder"


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


EACH_VERSION = [
    pytest.param(version, marks=() if version in (USUAL, NEWEST) else pytest.mark.long) for version in VERSIONS
]


@pytest.fixture(params=EACH_VERSION)
def client(request: pytest.FixtureRequest) -> WandbClient:
    return find(request.param)


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    """What is made once for all tests of a version in this process; the tests of two versions may take turns."""
    with ExitStack() as closing:
        yield Kept(closing)


@pytest.fixture
def directory(client: WandbClient, kept: Kept, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of that environment."""
    return kept.get(client, "directory", lambda: tmp_path_factory.mktemp(f"env-{client.version}"))


@pytest.fixture
def testbed(
    client: WandbClient,
    kept: Kept,
    directory: Path,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Testbed:
    """A queue server with the queue `default`, and launchd's agent serving it; its jobs have the client."""

    def make() -> Testbed:
        opened = kept.open(make_testbed(tmp_path_factory.mktemp(f"testbed-{client.version}")))
        path = f"{client.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
        # Its jobs, which are clients as well, go where it goes.
        base_url = address_of(opened, client, kept, pytestconfig)
        opened.start_agent(PATH=path, GIT_CONFIG_GLOBAL=str(directory / "gitconfig"), WANDB_BASE_URL=base_url)
        return opened

    return kept.get(client, "testbed", make)


def address_of(testbed: Testbed, client: WandbClient, kept: Kept, config: pytest.Config) -> str:
    """Where everything of this version finds the server: in a long run at its recorder."""
    if not is_long(config):
        return testbed.server.url
    return kept.get(client, RECORDER, lambda: kept.open(recorder(testbed.server.url))).url


@pytest.fixture(autouse=True)
def nothing_is_asked_in_vain(request: pytest.FixtureRequest, kept: Kept) -> Iterator[None]:
    """Fail a test whose client sends what the schema does not know, or is refused for a reason that is not listed."""
    client = request.getfixturevalue("client") if "client" in request.fixturenames else None
    yield
    made = kept.find(client, RECORDER) if client is not None else None
    in_vain = made.unexpected() if made is not None else []
    assert not in_vain, "asked in vain:\n" + "\n".join(in_vain)


@pytest.fixture
def api(testbed: Testbed) -> Iterator[Api]:
    """What the server knows, asked as the admin."""
    with testbed.server.api() as opened:
        yield opened


@pytest.fixture
def wandb_env(
    client: WandbClient, kept: Kept, testbed: Testbed, directory: Path, pytestconfig: pytest.Config
) -> WandbEnv:
    def make() -> WandbEnv:
        url = address_of(testbed, client, kept, pytestconfig)
        made = WandbEnv.set_up(client, directory, url, testbed.server.key)
        running = kept.open(interpreter(client, directory, made.strangers))
        return dataclasses.replace(made, interpreter=running)

    return kept.get(client, "wandb_env", make)


@pytest.fixture
def job(kept: Kept, wandb_env: WandbEnv) -> str:
    """Name of a job that was made from a directory."""

    def make() -> str:
        directory = code_directory(wandb_env, "of-job")
        wandb_env.wandb(
            "job", "create", "code", str(directory), "-p", "launched", "-n", "made", "-E", "python train.py"
        )
        return "me/launched/made:latest"

    return kept.get(wandb_env.client, "job", make)


# What the scripts answered; each runs once for all tests of a version.


@pytest.fixture
def answer_of(kept: Kept, wandb_env: WandbEnv) -> AnswerOf:
    """``answer_of("runs", project="p")``: what the script answered, which runs the first time only."""

    def answer(script: str, **arguments: Any) -> dict[str, Any]:
        return kept.get(wandb_env.client, f"answer of {script}", lambda: wandb_env.script(script, **arguments))

    return answer


@pytest.fixture
def logged_runs(answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of("runs", project=RUNS)


@pytest.fixture
def logged_artifacts(answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of("artifacts", project=ARTIFACTS, name=ARTIFACT)
