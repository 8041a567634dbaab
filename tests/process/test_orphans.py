"""What is left of an agent that was killed: nothing of it that has no job, not even what was stopped."""

import sys
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


#: A daemon as they are made: of another session, without the job's environment, directory and output.
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        with open(sys.argv[1] + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        os.closerange(0, 64)
        os.execve("/bin/sleep", ["sleep", "60"], {})
    os._exit(0)
time.sleep(60)
"""


def test_a_killed_shim_takes_a_daemon_of_its_job_with_it(testbed: Testbed) -> None:
    testbed.start_agent()
    noted = testbed.directory / "daemon"
    item = testbed.push(sys.executable, "-c", DAEMON, str(noted))
    wait_until(noted.exists, what="the daemon")
    daemon = int(noted.read_text())

    [shim] = wait_until(lambda: shims(testbed), what="the shim")
    shim.kill()

    [over] = testbed.wait_over([item])
    assert over.state == "FAILED"
    wait_until(lambda: is_gone(daemon), what="the daemon is gone")


def shims(opened: Testbed) -> list[psutil.Process]:
    return [process for process in opened.processes() if command_line(process).startswith("launchd: shim launchd-")]
