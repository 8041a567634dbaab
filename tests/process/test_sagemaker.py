"""An agent with a queue for SageMaker, at AWS on loopback: each job once, found again after any death, told truly."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.settings import MIB
from launchd.client.queue_server import Item
from tests.support.aws import ROLE, FakeAws, arguments
from tests.support.deaths import assert_said_once, assert_started_once, deaths, run_with_a_death
from tests.support.processes import children_of, command_line, private_bytes
from tests.support.request_services import AWS, dying_again_and_again, service_of, workers_with_jobs
from tests.support.server import Account
from tests.support.testbed import ROOT, Testbed, make_testbed
from tests.support.waiting import wait_until

IMAGE = "registry.example/train:1"
CREATE, DESCRIBE, STOP = "SageMaker.CreateTrainingJob", "SageMaker.DescribeTrainingJob", "SageMaker.StopTrainingJob"

#: The most that a worker may have for itself, in bytes.
WORKER_BYTES = int(6.3 * MIB)

#: In the short run: where a training job may exist and nobody knows yet.
SHORT = ("worker.after_submit_approved", "worker.after_submit")

SETTINGS: dict[str, Any] = {
    "policy": {"resources": ["sagemaker"], "sagemaker": {"roles": [ROLE]}},
    "aws": {"poll_seconds": 0.3},
}


@pytest.fixture
def testbed(tmp_path: Path, account: Account, aws: FakeAws) -> Iterator[Testbed]:
    # The fixture of AWS has set the variables that the agent inherits.
    assert aws.url
    with make_testbed(tmp_path, account, max_jobs=2, launchd=SETTINGS) as opened:
        yield opened


def push(opened: Testbed, *command: str, **more: Any) -> str:
    given = {"sagemaker": arguments(**more)}
    return opened.push(*command, resource="sagemaker", resource_args=given, docker={"docker_image": IMAGE})


def ended(opened: Testbed, *items: str) -> list[Item]:
    return opened.wait_over(items, timeout=60)


def test_jobs_end_as_sagemaker_says_with_their_output(testbed: Testbed, aws: FakeAws) -> None:
    testbed.start_agent()
    good = push(testbed, "sh", "-c", "echo hello; echo $WANDB_RUN_ID")
    bad = push(testbed, "sh", "-c", "echo oh; exit 3")

    over = ended(testbed, good, bad)

    assert [item.state for item in over] == ["FINISHED", "FAILED"]
    assert "exit code: 3" in (over[1].message or "")
    assert logs_of(testbed, good).startswith("hello\n")
    assert logs_of(testbed, bad) == "oh\n"
    assert len(aws.asked(CREATE)) == 2
    assert_no_key_is_shown(testbed, aws)


def logs_of(opened: Testbed, item: str) -> str:
    command = [sys.executable, "-m", "launchd", "logs", item, "-c", str(opened.config_path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def assert_no_key_is_shown(opened: Testbed, aws: FakeAws) -> None:
    """Neither the agent's key nor a job's is in a log, in a command line, or in a file of a job."""
    keys = {request["Environment"]["WANDB_API_KEY"] for request in aws.asked(CREATE)} | {opened.server.key}
    texts = [opened.log()] + [
        path.read_text(errors="replace") for path in (opened.state_dir / "jobs").rglob("*") if path.is_file()
    ]
    texts += [command_line(process) for process in children_of(opened.agent_pid, all_below=True)]
    assert [key for key in keys if any(key in text for text in texts)] == []


def test_a_stop_is_carried_out_though_sagemaker_fails_at_first(testbed: Testbed, aws: FakeAws) -> None:
    testbed.start_agent()
    item = push(testbed, "sleep", "60")
    wait_until(lambda: testbed.phase(item) == "running", 30, "the job runs")
    aws.fail(STOP, 500, "InternalFailure", times=4)

    testbed.ask(command="stop", item=item)

    assert [over.state for over in ended(testbed, item)] == ["STOPPED"]


def test_a_job_that_waits_for_instances_is_stopped_after_its_time(testbed: Testbed, aws: FakeAws) -> None:
    aws.runs_commands = False
    testbed.configure(max_jobs=2, launchd={**SETTINGS, "jobs": {"start_timeout_seconds": 1}})
    testbed.start_agent()
    item = push(testbed, "true")
    wait_until(lambda: aws.jobs, 30, "the training job")
    for job in aws.jobs.values():
        job.secondary = "LaunchingMLInstances"

    over = ended(testbed, item)

    assert over[0].state == "FAILED"
    assert "did not start within 1 s" in (over[0].message or "")


def test_an_expired_token_and_throttling_cost_no_job(testbed: Testbed, aws: FakeAws) -> None:
    testbed.start_agent()
    item = push(testbed, "sleep", "4")
    wait_until(lambda: testbed.phase(item) == "running", 30, "the job runs")

    aws.fail(DESCRIBE, 400, "ExpiredTokenException", "The security token included in the request is expired", times=2)
    aws.fail(DESCRIBE, 400, "ThrottlingException", "Rate exceeded", times=4)
    wait_until(lambda: testbed.phase(item) == "unknown", 20, "it is said that nothing is known")

    assert [over.state for over in ended(testbed, item)] == ["FINISHED"]
    assert len(aws.asked(CREATE)) == 1


def test_without_the_sdk_a_job_fails_at_once_and_says_how_to_get_it(testbed: Testbed, tmp_path: Path) -> None:
    missing = tmp_path / "without"
    (missing / "botocore").mkdir(parents=True)
    reason = "raise ModuleNotFoundError(\"No module named 'botocore'\", name='botocore')\n"
    (missing / "botocore" / "__init__.py").write_text(reason)
    testbed.start_agent(PYTHONPATH=f"{missing}:{ROOT}")

    over = ended(testbed, push(testbed, "true"))

    assert over[0].state == "FAILED"
    assert "pip install --require-hashes -r requirements/aws.lock" in (over[0].message or "")


def test_a_socket_that_cannot_be_made_or_was_removed_is_made_again(testbed: Testbed) -> None:
    path = testbed.runtime_dir / "aws.sock"
    path.mkdir(parents=True)
    testbed.start_agent()
    wait_until(lambda: f"Its socket {path} cannot be made: " in testbed.log(), 60, "it is said")
    path.rmdir()
    wait_until(path.is_socket, 60, "the process serves")

    path.unlink()
    over = ended(testbed, push(testbed, "true"))

    assert [item.state for item in over] == ["FINISHED"]
    assert f"Its socket {path} was removed." in testbed.log()


@pytest.mark.parametrize(("failpoint", "action"), list(deaths(SHORT)))
def test_any_process_may_die_anywhere(testbed: Testbed, aws: FakeAws, failpoint: str, action: str) -> None:
    over = run_with_a_death(testbed, failpoint, action, lambda seconds: push(testbed, "sleep", str(seconds)))

    assert_started_once(aws.jobs)
    assert_said_once(testbed, over)


def test_workers_are_small(testbed: Testbed) -> None:
    """The SDK is in the one process that asks for all of them."""
    testbed.start_agent()
    items = [push(testbed, "sleep", "5") for _ in range(2)]
    wait_until(lambda: all(testbed.phase(item) == "running" for item in items), 40, "the jobs run")

    private = [private_bytes(process.pid) for process in workers_with_jobs(testbed)]

    assert len(private) == 2
    assert max(private) < WORKER_BYTES
    ended(testbed, *items)


def test_what_asks_for_all_workers_may_die_at_any_time(testbed: Testbed, aws: FakeAws) -> None:
    testbed.configure(max_jobs=4, launchd=SETTINGS)
    testbed.start_agent()

    with dying_again_and_again(testbed, AWS, 4) as killed:
        items = [push(testbed, "sh", "-c", "echo hello; sleep 3") for _ in range(6)]
        over = testbed.wait_over(items, timeout=120)

    assert len(killed) >= 2
    assert {item.state for item in over} == {"FINISHED"}
    assert_started_once(aws.jobs)
    assert {logs_of(testbed, item) for item in items} == {"hello\n"}


def test_what_asks_for_all_workers_is_replaced_when_it_hangs(testbed: Testbed) -> None:
    supervision = {"worker_heartbeat_seconds": 0.2, "worker_silence_seconds": 2.0}
    testbed.configure(max_jobs=2, launchd={**SETTINGS, "supervision": supervision})
    testbed.start_agent()
    item = push(testbed, "sleep", "6")
    wait_until(lambda: testbed.phase(item) == "running", 30, "the job runs")

    hanging = service_of(testbed, AWS)
    hanging.suspend()

    wait_until(lambda: not hanging.is_running(), 30, "it is ended")
    assert [over.state for over in ended(testbed, item)] == ["FINISHED"]
    assert "It has said nothing for 2 s." in testbed.log()


def test_its_socket_goes_with_the_agent(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    service_of(testbed, AWS)
    wait_until(lambda: list(testbed.directory.rglob("aws.sock")), 30, "it listens")
    [path] = testbed.directory.rglob("aws.sock")

    agent.terminate()

    assert not path.exists()
