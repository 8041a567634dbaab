"""Jobs on Vertex AI, through an agent: each exists once, whichever process dies. Google Cloud is a fake on a socket."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from ipc.settings import MIB
from tests.support.deaths import assert_said_once, assert_started_once, deaths, run_with_a_death
from tests.support.google_cloud import DONE_UNANSWERED, GoogleCloud, google_cloud, job_args
from tests.support.processes import private_bytes
from tests.support.request_services import (
    GOOGLE_CLOUD,
    dying_again_and_again,
    service_of,
    workers_with_jobs,
)
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

IMAGE = "us-docker.pkg.dev/p/r/image:1"

#: The most that a worker may have for itself, in bytes.
WORKER_BYTES = int(6.3 * MIB)

#: Where a worker dies, or its supervisor, once the job may exist at Vertex AI. All others run with ``--long``.
SHORT = ("worker.after_submit_approved", "worker.after_submit", "worker.monitoring", "supervisor.submitted")


@pytest.fixture
def cloud() -> Iterator[GoogleCloud]:
    with google_cloud() as server:
        yield server


@pytest.fixture
def testbed(tmp_path: Path, account: Account, cloud: GoogleCloud) -> Iterator[Testbed]:
    settings = {
        "policy": {"resources": ["vertex"]},
        "vertex": msgspec.to_builtins(cloud.settings),
        # The SDK takes its time to be loaded, once, on a machine that is busy.
        "supervision": QUICK | {"fork_server_silence_seconds": 60.0, "worker_silence_seconds": 10.0},
    }
    with make_testbed(tmp_path, account) as opened:
        opened.configure(max_jobs=2, launchd=settings, environment=msgspec.to_builtins(cloud.environment))
        yield opened


def start(opened: Testbed, cloud: GoogleCloud, **environ: str) -> Any:
    credentials = cloud.write_credentials(opened.directory)
    return opened.start_agent(GOOGLE_APPLICATION_CREDENTIALS=str(credentials), **environ)


def push(opened: Testbed, **knobs: Any) -> str:
    return opened.push(
        "python",
        "train.py",
        resource="vertex",
        docker={"docker_image": IMAGE},
        resource_args={"vertex": job_args(**knobs)},
    )


def output_of(opened: Testbed, item: str) -> str:
    name = opened.job(item)["workload_name"]
    return (opened.state_dir / "jobs" / name / "output.log").read_text()


def test_jobs_end_as_vertex_ai_says_with_their_output(testbed: Testbed, cloud: GoogleCloud) -> None:
    start(testbed, cloud)
    items = [push(testbed, seconds=0.3, output="hello"), push(testbed, exit_code=3)]

    good, bad = testbed.wait_over(items)

    assert good.state == "FINISHED"
    assert output_of(testbed, items[0]) == "hello\n"
    assert (bad.state, "non-zero status of 3" in (bad.message or "")) == ("FAILED", True)
    assert cloud.jobs[0].variables["WANDB_RUN_ID"]
    assert cloud.jobs[0].container["imageUri"] == IMAGE


def test_a_job_that_waits_too_long_for_machines_is_cancelled(testbed: Testbed, cloud: GoogleCloud) -> None:
    settings = {
        "policy": {"resources": ["vertex"]},
        "vertex": msgspec.to_builtins(cloud.settings),
        "supervision": QUICK | {"fork_server_silence_seconds": 60.0},
        "jobs": {"start_timeout_seconds": 1},
    }
    testbed.configure(max_jobs=1, launchd=settings, environment=msgspec.to_builtins(cloud.environment))
    start(testbed, cloud)

    [over] = testbed.wait_over([push(testbed, pending=600)])

    assert (over.state, "did not start within 1 s" in (over.message or "")) == ("FAILED", True)
    assert cloud.jobs[0].state == "JOB_STATE_CANCELLED"


@pytest.mark.parametrize(("failpoint", "action"), list(deaths(SHORT)))
def test_any_process_may_die_anywhere(testbed: Testbed, cloud: GoogleCloud, failpoint: str, action: str) -> None:
    over = run_with_a_death(
        testbed,
        failpoint,
        action,
        lambda seconds: push(testbed, seconds=seconds),
        lambda **environ: start(testbed, cloud, **environ),
        # The SDK is loaded first.
        patience=40,
    )

    assert_started_once(job.request["labels"]["launchd-name"] for job in cloud.jobs)
    assert_said_once(testbed, over)
    for item in over:
        assert item.state == "FAILED" or output_of(testbed, item.id) == "started\n"


def test_a_lost_answer_makes_no_second_job(testbed: Testbed, cloud: GoogleCloud) -> None:
    cloud.faults["create"] = [DONE_UNANSWERED]
    start(testbed, cloud)

    [over] = testbed.wait_over([push(testbed)])

    assert (over.state, len(cloud.jobs)) == ("FINISHED", 1)


def test_workers_are_small(testbed: Testbed, cloud: GoogleCloud) -> None:
    """The SDK is in the one process that asks for all of them."""
    start(testbed, cloud)
    items = [push(testbed, seconds=5) for _ in range(2)]
    wait_until(lambda: all(testbed.phase(item) == "running" for item in items), 60, "the jobs run")

    private = [private_bytes(process.pid) for process in workers_with_jobs(testbed)]

    assert len(private) == 2
    assert max(private) < WORKER_BYTES
    testbed.wait_over(items)


def test_what_asks_for_all_workers_may_die_at_any_time(testbed: Testbed, cloud: GoogleCloud) -> None:
    start(testbed, cloud)
    service_of(testbed, GOOGLE_CLOUD)

    with dying_again_and_again(testbed, GOOGLE_CLOUD, 10) as killed:
        items = [push(testbed, seconds=12) for _ in range(2)]
        over = testbed.wait_over(items, timeout=240)

    assert killed
    assert {item.state for item in over} == {"FINISHED"}
    assert_started_once(job.request["labels"]["launchd-name"] for job in cloud.jobs)


def test_a_question_before_the_job_exists_is_asked_again(testbed: Testbed, cloud: GoogleCloud) -> None:
    start(testbed, cloud)
    first = service_of(testbed, GOOGLE_CLOUD)
    wait_until(lambda: list(testbed.directory.rglob("gcp.sock")), 30, "it listens")
    [path] = testbed.directory.rglob("gcp.sock")
    first.suspend()
    item = push(testbed)
    # One line for who listens, and one for each that is connected.
    wait_until(lambda: Path("/proc/net/unix").read_text().count(f"{path}\n") > 1, 30, "a worker asks for its project")

    first.kill()

    assert [over.state for over in testbed.wait_over([item])] == ["FINISHED"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_hundred_jobs_are_asked_for_by_one_process(
    testbed: Testbed, cloud: GoogleCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = 200
    usual = msgspec.structs.replace(cloud.settings, poll_seconds=10.0, log_poll_seconds=15.0)
    settings = {
        "policy": {"resources": ["vertex"]},
        "vertex": msgspec.to_builtins(usual),
        "supervision": {"fork_server_silence_seconds": 120.0, "worker_silence_seconds": 300.0},
    }
    testbed.configure(max_jobs=jobs, launchd=settings, environment=msgspec.to_builtins(cloud.environment))
    start(testbed, cloud)
    items = [push(testbed, seconds=150) for _ in range(jobs)]
    wait_until(lambda: sum(job["phase"] == "running" for job in testbed.status()["jobs"]) == jobs, 300, "all jobs run")
    wait_until(lambda: cloud.asked.count("logs") >= 2 * jobs, 120, "the output of all was looked at twice")

    private = sorted(private_bytes(process.pid) for process in workers_with_jobs(testbed))
    service = private_bytes(service_of(testbed, GOOGLE_CLOUD).pid)
    over = testbed.wait_over(items, timeout=400)

    with capsys.disabled():
        print(  # noqa: T201 (the figures are what it is run for)
            f"\n{jobs} jobs: private memory of a worker {private[0] / MIB:.2f} to {private[-1] / MIB:.2f} MiB,"
            f" of the process that asks for them {service / MIB:.0f} MiB"
        )
    assert private[-1] < WORKER_BYTES
    assert {item.state for item in over} == {"FINISHED"}
    assert_started_once(job.request["labels"]["launchd-name"] for job in cloud.jobs)


def test_an_agent_without_vertex_loads_nothing_of_it(testbed: Testbed) -> None:
    testbed.configure(max_jobs=1, launchd={"policy": {"resources": ["local-process"]}})
    testbed.start_agent()
    wait_until(testbed.status, what="the agent answers")

    for process in psutil.Process(testbed.agent_pid).children(recursive=True):
        assert not any("google" in mapped.path for mapped in process.memory_maps())
