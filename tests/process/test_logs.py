"""`launchd logs` while the agent lives, and when it is gone: the output is the same."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.testbed import House, house
from tests.support.waiting import wait_until

NOBODY_HERE = "No agent runs here"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, max_jobs=1) as opened:
        yield opened


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def command(home: House, *words: str) -> list[str]:
    return [sys.executable, "-m", "launchd", "logs", "-c", str(home.config_path), *words]


def logs(home: House, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(home, *words), capture_output=True, text=True, timeout=30, check=False)


def start_job(home: House, gate: Gate) -> str:
    item = home.push("sh", "-c", f"echo begun; {gate.wait}; echo ended")
    home.start_agent()
    wait_until(lambda: home.phase(item) == "running", 20.0, "the job runs")
    return item


def test_a_job_is_followed_to_its_end_though_its_agent_dies(home: House, gate: Gate) -> None:
    item = start_job(home, gate)
    with subprocess.Popen(command(home, "-f", item), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"begun\n"
        assert home.agent is not None
        home.agent.kill()
        gate.open()
        said, complaints = follower.communicate(timeout=30)

    assert (follower.returncode, said) == (0, b"ended\n")
    assert complaints.decode().count(NOBODY_HERE) == 1
    assert complaints.decode().endswith("The job has ended, and the next agent here reports how.\n")


def test_output_is_there_without_an_agent(home: House, gate: Gate) -> None:
    item = start_job(home, gate)
    run = home.job(item)["run_id"]
    assert home.agent is not None
    home.agent.kill()

    running = logs(home, run)
    assert (running.returncode, running.stdout) == (0, "begun\n")
    assert NOBODY_HERE in running.stderr
    assert running.stderr.endswith("the job is running.\n")
    unknown = logs(home, "no-such-job")
    assert unknown.returncode == 1
    assert unknown.stderr.endswith(f"The journal in {home.state_dir} knows no job no-such-job.\n")

    agent = home.start_agent()
    gate.open()
    home.wait_over([item])
    assert (logs(home, run).stdout, logs(home, run).stderr) == ("begun\nended\n", "")
    agent.terminate()
    over = logs(home, "-f", run)
    assert (over.returncode, over.stdout) == (0, "begun\nended\n")
    assert over.stderr.endswith("the job is finished.\n")


def test_where_no_agent_ever_ran_it_says_so(home: House) -> None:
    answer = logs(home, "d63e3be6")

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Error: {NOBODY_HERE} (nothing answers at ")
    assert not home.state_dir.exists()
