"""`launchd logs` while the agent lives, and when it is gone: the output is the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

NOBODY_HERE = "No agent runs here"


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=1) as opened:
        yield opened


def command(testbed: Testbed, *words: str) -> list[str]:
    return [sys.executable, "-m", "launchd", "logs", "-c", str(testbed.config_path), *words]


def logs(testbed: Testbed, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(testbed, *words), capture_output=True, text=True, timeout=60, check=False)


def start_job(testbed: Testbed, gate: Gate) -> str:
    item = testbed.push("sh", "-c", f"echo begun; {gate.wait}; echo ended")
    testbed.start_agent()
    wait_until(lambda: testbed.phase(item) == "running", 20.0, "the job runs")
    return item


def test_a_job_is_followed_to_its_end_though_its_agent_dies(testbed: Testbed, gate: Gate) -> None:
    item = start_job(testbed, gate)
    with subprocess.Popen(command(testbed, "-f", item), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"begun\n"
        assert testbed.agent is not None
        testbed.agent.kill()
        gate.open()
        said, complaints = follower.communicate(timeout=60)

    assert (follower.returncode, said) == (0, b"ended\n")
    assert complaints.decode().count(NOBODY_HERE) == 1
    assert complaints.decode().endswith("The job has ended, and the next agent here reports how.\n")


def test_output_is_there_without_an_agent(testbed: Testbed, gate: Gate) -> None:
    item = start_job(testbed, gate)
    run = testbed.job(item)["run_id"]
    assert testbed.agent is not None
    testbed.agent.kill()

    running = logs(testbed, run)
    assert (running.returncode, running.stdout) == (0, "begun\n")
    assert NOBODY_HERE in running.stderr
    assert running.stderr.endswith("the job is running.\n")
    unknown = logs(testbed, "no-such-job")
    assert unknown.returncode == 1
    assert unknown.stderr.endswith(f"The journal in {testbed.state_dir} knows no job no-such-job.\n")

    agent = testbed.start_agent()
    gate.open()
    testbed.wait_over([item])
    assert (logs(testbed, run).stdout, logs(testbed, run).stderr) == ("begun\nended\n", "")
    agent.terminate()
    over = logs(testbed, "-f", run)
    assert (over.returncode, over.stdout) == (0, "begun\nended\n")
    assert over.stderr.endswith("the job is finished.\n")


def test_where_no_agent_ever_ran_it_says_so(testbed: Testbed) -> None:
    answer = logs(testbed, "d63e3be6")

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Error: {NOBODY_HERE} (nothing answers at ")
    assert not testbed.state_dir.exists()
