"""`launchd logs` while the agent lives, and when it is gone: the output is the same."""

import os
import subprocess
import sys
import time
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


def remote_command(testbed: Testbed, *words: str) -> list[str]:
    # Another host: neither an agent nor a journal is there.
    return [sys.executable, "-m", "launchd", "logs", "-c", str(testbed.directory / "elsewhere.yaml"), *words]


def remote(testbed: Testbed, *words: str) -> subprocess.CompletedProcess[str]:
    command = remote_command(testbed, *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=elsewhere(testbed))


def elsewhere(testbed: Testbed) -> dict[str, str]:
    (testbed.directory / "elsewhere.yaml").write_text(
        f"queues: [x]\nlaunchd: {{state_dir: {testbed.directory}/none, runtime_dir: {testbed.directory}/none}}\n"
    )
    return os.environ | {"WANDB_API_KEY": testbed.server.key, "WANDB_BASE_URL": testbed.server.url}


def test_the_output_of_another_host_is_followed_through_the_queue_server(testbed: Testbed, gate: Gate) -> None:
    item = start_job(testbed, gate)
    # Without -f, what there is now.
    now = remote(testbed, item)
    assert (now.returncode, now.stdout, now.stderr) == (0, "begun\n", "")

    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(remote_command(testbed, "-f", item), env=elsewhere(testbed), **pipes) as follower:
        assert follower.stdout.readline() == b"begun\n"
        opened = time.monotonic()
        gate.open()
        assert follower.stdout.readline() == b"ended\n"
        # The gate and the machine take their part of it.
        assert time.monotonic() - opened < 5
        rest, complaints = follower.communicate(timeout=30)
    assert (follower.returncode, rest, complaints) == (0, b"", b"")

    testbed.wait_over([item])
    assert testbed.agent is not None
    testbed.agent.terminate()
    kept = remote(testbed, item)
    assert (kept.returncode, kept.stdout, kept.stderr) == (0, "begun\nended\n", "")


def test_an_agent_that_was_killed_sends_the_end_when_it_is_back(testbed: Testbed, gate: Gate) -> None:
    item = start_job(testbed, gate)
    assert testbed.agent is not None
    testbed.agent.kill()
    gate.open()
    testbed.start_agent()
    testbed.wait_over([item])
    assert remote(testbed, "-f", item).stdout == "begun\nended\n"


def test_an_item_that_no_agent_has_taken_says_so(testbed: Testbed) -> None:
    waiting = testbed.push("true")
    answer = remote(testbed, waiting)
    assert (answer.returncode, answer.stdout) == (0, "")
    assert answer.stderr == "There is no output: no agent has taken the item, which waits in its queue.\n"
    unknown = remote(testbed, "no-such-item")
    assert unknown.returncode == 1
    assert unknown.stderr.endswith(f"The queue server at {testbed.server.url} knows no item no-such-item either.\n")
