"""What is left of an agent that was killed: nothing of it that has no job, not even what was stopped."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import children_of, command_line, is_gone
from tests.support.server import Account
from tests.support.testbed import AgentProcess, Testbed, make_testbed
from tests.support.waiting import wait_until


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account) as opened:
        yield opened


@pytest.mark.parametrize("stopped", ["fork server", "worker"])
def test_a_stopped_process_goes_with_its_supervisor(testbed: Testbed, stopped: str) -> None:
    agent = testbed.start_agent()
    fork_server, worker = wait_until(lambda: spare_worker(agent), what="a spare worker is ready")
    {"fork server": fork_server, "worker": worker}[stopped].suspend()

    agent.kill()

    wait_until(lambda: is_gone(worker.pid), what="the worker is gone")
    wait_until(lambda: is_gone(fork_server.pid), what="the fork server is gone")


def spare_worker(agent: AgentProcess) -> tuple[psutil.Process, psutil.Process] | None:
    """Return the fork server and a worker of it that has no job yet."""
    for child in children_of(agent.pid):
        for worker in children_of(child.pid):
            if command_line(worker) == "launchd: worker idle":
                return child, worker
    return None
