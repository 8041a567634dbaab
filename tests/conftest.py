"""What holds for every test: it sees no settings of the machine, it ends in time, and it leaves no process behind."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.aws import FakeAws, environment, fake_aws
from tests.support.engine import TestEngine, running_engine
from tests.support.environment import scrub
from tests.support.postgres import Cluster, throwaway_cluster
from tests.support.processes import command_line, holds_files_below, list_of
from tests.support.server import SHARED, Account, RunningServer, end_forks, running_server
from tests.support.waiting import patience

pytest_plugins = [
    "tests.support.long_tests",
    "tests.support.failures",
    "tests.compat.report",
    "tests.support.scheduling",
    "tests.support.collecting",
]

scrub(os.environ)
# Programs find the project's packages from any directory, installed or not.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
# What tests start many times is compiled once, whatever the machine's settings are.
sys.dont_write_bytecode = False
# Git, uv and all programs of launchd look for a person's files here.
os.environ["HOME"] = tempfile.mkdtemp(prefix="launchd-home-")
atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)

# Agents of other tests, in other trees too, keep nothing from those of this one.
os.environ["LAUNCHD_LOCKS_DIR"] = tempfile.mkdtemp(prefix="launchd-locks-")
atexit.register(shutil.rmtree, os.environ["LAUNCHD_LOCKS_DIR"], ignore_errors=True)

# A shell's background job ignores Ctrl-C, and so would every program that the tests start to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)

MARK = "LAUNCHD_TEST_SESSION"
#: How long, in seconds, processes that were told to end may take.
PATIENCE = 5.0


@pytest.fixture(scope="session", autouse=True)
def no_process_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Name and end whatever the tests started and left, and fail.

    A process is known by a mark in its environment or, as a process that has set its title has lost that, by a file it
    holds open below the tests' temporary directory.
    """
    mark = os.environ[MARK] = uuid.uuid4().hex
    yield
    end_forks()
    left = list_of(lambda process: _is_left(process, mark, tmp_path_factory.getbasetemp()))
    _, alive = psutil.wait_procs(left, timeout=patience(PATIENCE))
    left = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    names = [f"{process.pid} {command_line(process)}" for process in left]
    for process in left:
        process.kill()
    assert names == [], "processes left behind by the tests"


@pytest.fixture(scope="session")
def queue_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The queue server of this process of the run, for all tests that neither kill nor configure one."""
    with running_server(tmp_path_factory.mktemp("queue-server"), *SHARED) as running:
        yield running


@pytest.fixture
def account(queue_server: RunningServer) -> Account:
    """A user of that server whom no other test knows, with an entity of their own."""
    return queue_server.account()


@pytest.fixture(scope="session")
def engine() -> Iterator[TestEngine]:
    """A container engine of the tests. Skips where there is none to be had."""
    with running_engine() as running:
        yield running


@pytest.fixture(scope="session")
def _aws() -> Iterator[FakeAws]:
    with fake_aws() as server:
        yield server


@pytest.fixture
def aws(_aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAws]:
    """AWS on loopback, empty, where the SDK of this process and of those that it starts goes."""
    for name, value in environment(_aws.url).items():
        monkeypatch.setenv(name, value)
    yield _aws
    _aws.reset()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of the tests. Skips where it is not installed."""
    with throwaway_cluster() as running:
        yield running


def _is_left(process: psutil.Process, mark: str, directory: Path) -> bool:
    if process.pid == os.getpid() or _is_helper(process):
        return False
    return process.environ().get(MARK) == mark or holds_files_below(directory, process.pid)


def _is_helper(process: psutil.Process) -> bool:
    # Python's own fork server and resource tracker of this process leave with it.
    return process.ppid() == os.getpid() and "from multiprocessing." in command_line(process)
