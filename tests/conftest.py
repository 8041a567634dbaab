"""What holds for every test: it ends within the time-out set in setup.cfg, and it leaves no process behind."""

import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.postgres import Cluster, throwaway_cluster
from tests.support.processes import holds_files_below

pytest_plugins = ["tests.compat.report", "tests.compat.scheduling"]

# Our programs find our packages from wherever they are started, installed or not.
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])

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
    left = [process for process in psutil.process_iter() if _is_left(process, mark, tmp_path_factory.getbasetemp())]
    _, alive = psutil.wait_procs(left, timeout=PATIENCE)
    left = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    names = [f"{process.pid} {' '.join(process.cmdline()).strip()}" for process in left]
    for process in left:
        process.kill()
    assert names == [], "processes left behind by the tests"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of our own. Skips where it is not installed."""
    with throwaway_cluster() as running:
        yield running


def _is_left(process: psutil.Process, mark: str, directory: Path) -> bool:
    try:
        if process.pid == os.getpid() or _is_helper(process):
            return False
        return process.environ().get(MARK) == mark or holds_files_below(directory, process.pid)
    except (psutil.Error, OSError):
        return False


def _is_helper(process: psutil.Process) -> bool:
    # Python's own fork server and resource tracker of this process leave with it.
    return process.ppid() == os.getpid() and "from multiprocessing." in " ".join(process.cmdline())
