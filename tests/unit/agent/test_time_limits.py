"""Jobs that run for longer than they may are stopped: counted from their start, over every restart, by whose limit."""

from typing import Any

import pytest

from ipc.boot_clock import BootMoment
from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import Adopt, Finished, PhaseChanged, Stop, encode
from ipc.settings import JobsConfig, QueueJobs
from ipc.states import JobState
from tests.support.controller_harness import STEPS, ControllerHarness

LIMIT = 3600.0
SUBMITTERS = {"resource_args": {"local-process": {"launchd": {"max_runtime_seconds": LIMIT}}}}


def bring_to_running(harness: ControllerHarness, **spec: Any) -> None:
    harness.claim(**(SUBMITTERS | spec))
    for name, step in STEPS.items():
        if name not in ("assigned", "unknown"):
            step(harness, "a")


def stops(harness: ControllerHarness) -> list[Stop]:
    return [command for command in harness.worker().sent if type(command) is Stop]


def end_stopped(harness: ControllerHarness) -> None:
    harness.report(Finished(JobState.STOPPED, ExitResult(signal=15, cpu_seconds=2.0)))
    harness.exit()


def test_a_job_over_its_limit_is_stopped_with_grace_and_says_why(harness: ControllerHarness) -> None:
    bring_to_running(harness)
    harness.wait(LIMIT - 1)
    assert stops(harness) == []

    harness.wait(2)
    (stop,) = stops(harness)
    assert (stop.reason, stop.grace_seconds) == ("it ran longer than its limit of 1h00m, set by its submitter", 10.0)
    harness.wait(100)
    assert len(stops(harness)) == 1

    end_stopped(harness)
    job = harness.job()
    assert (job.state, job.result and job.result.cpu_seconds) == (JobState.STOPPED, 2.0)
    assert job.message == "The job was stopped: it ran longer than its limit of 1h00m, set by its submitter."


def test_a_job_that_ends_well_just_then_has_finished(harness: ControllerHarness) -> None:
    bring_to_running(harness)
    harness.wait(LIMIT + 1)
    harness.report(Finished(JobState.FINISHED, ExitResult(code=0)))
    harness.exit()

    assert (harness.job().state, harness.job().message) == (JobState.FINISHED, None)


def test_time_before_the_start_does_not_count(harness: ControllerHarness) -> None:
    harness.claim(**SUBMITTERS)
    for name, step in STEPS.items():
        if name not in ("assigned", "unknown"):
            step(harness, "a")
            if name == "starting":
                harness.clock.advance(10 * LIMIT)

    harness.wait(LIMIT - 1)
    assert stops(harness) == []


@pytest.mark.parametrize(
    ("jobs", "submitters", "limit", "who"),
    [
        (JobsConfig(max_runtime_seconds=60), None, 60, "launchd.jobs on"),
        (JobsConfig(max_runtime_seconds=60), 30, 30, "its submitter"),
        (JobsConfig(max_runtime_seconds=60), 90, 60, "launchd.jobs on"),
        (JobsConfig(max_runtime_seconds=60, queues={"default": QueueJobs(90)}), None, 90, "launchd.jobs on"),
        (JobsConfig(max_runtime_seconds=60, queues={"default": QueueJobs()}), None, 60, "launchd.jobs on"),
        (JobsConfig(max_runtime_seconds=60, queues={"default": QueueJobs(0)}), 600, 600, "its submitter"),
        (JobsConfig(max_runtime_seconds=60, queues={"other": QueueJobs(5)}), None, 60, "launchd.jobs on"),
    ],
    ids=str,
)
def test_the_smaller_limit_counts(
    harness: ControllerHarness, jobs: JobsConfig, submitters: int | None, limit: int, who: str
) -> None:
    harness.configure(jobs)
    section = {} if submitters is None else {"max_runtime_seconds": submitters}
    bring_to_running(harness, resource_args={"local-process": {"launchd": section}})

    harness.wait(limit)
    assert stops(harness) == []
    harness.wait(1)
    (stop,) = stops(harness)
    assert f"set by {who}" in stop.reason


def test_a_scheduler_has_no_limit_but_its_submitters(harness: ControllerHarness) -> None:
    harness.configure(JobsConfig(max_runtime_seconds=60))
    bring_to_running(harness, uri="placeholder-uri-scheduler", resource_args={})
    harness.wait(10_000)
    assert stops(harness) == []


def test_a_reload_changes_the_limit_of_jobs_that_run(harness: ControllerHarness) -> None:
    bring_to_running(harness, resource_args={})
    harness.wait(10_000)
    assert stops(harness) == []

    harness.configure(JobsConfig(max_runtime_seconds=5_000))
    harness.wait(1)
    assert len(stops(harness)) == 1


@pytest.mark.parametrize("exit_code", [-9, WorkerExit.UNKNOWN, WorkerExit.ORPHANED])
def test_the_count_goes_on_over_restarts_of_worker_and_agent(harness: ControllerHarness, exit_code: int) -> None:
    bring_to_running(harness)
    began = harness.job().started
    harness.wait(LIMIT / 2)
    harness.exit(exit_code)
    harness.wait(10)
    harness.report(PhaseChanged(JobState.RUNNING))
    harness.restart()
    harness.report(PhaseChanged(JobState.RUNNING))
    assert harness.job().started == began

    harness.wait(LIMIT / 2)
    assert len(stops(harness)) == 1


def test_a_start_while_no_agent_ran_counts_from_then(harness: ControllerHarness) -> None:
    """The agent dies after the permission to submit; the worker submits, and leaves."""
    harness.claim(**SUBMITTERS)
    for name in ("fetching", "building", "submitting", "announced", "approved"):
        STEPS[name](harness, "a")
    began = harness.clock.boot()
    harness.clock.advance(LIMIT - 10)
    harness.restart()
    harness.report(PhaseChanged(JobState.RUNNING, started=began))
    assert (harness.job().started, harness.job().started_at) == (began, 1_000_000.0)

    harness.wait(11)
    assert len(stops(harness)) == 1


def test_a_job_over_its_limit_without_a_worker_is_stopped_by_the_next_one(harness: ControllerHarness) -> None:
    bring_to_running(harness)
    harness.pool.spares = 0
    worker = harness.pool.busy.pop("a")
    harness.controller.on_exit(worker, -9)
    harness.clock.advance(LIMIT + 1)
    harness.controller.check_deadlines()
    harness.turn()
    harness.turn()

    assert [type(command) for command in harness.worker().sent] == [Adopt, Stop]


def test_a_stop_over_the_limit_survives_the_agent(harness: ControllerHarness) -> None:
    bring_to_running(harness)
    harness.wait(LIMIT + 1)
    harness.restart()

    assert [type(command) for command in harness.worker().sent] == [Adopt, Stop]
    end_stopped(harness)
    assert "longer than its limit of 1h00m" in (harness.job().message or "")


def test_a_step_of_the_wall_clock_counts_for_nothing(harness: ControllerHarness) -> None:
    bring_to_running(harness)
    harness.clock.wall += 10 * LIMIT
    harness.wait(1)
    assert stops(harness) == []
    harness.clock.wall -= 100 * LIMIT
    harness.wait(LIMIT)
    assert len(stops(harness)) == 1


def test_after_a_restart_of_the_host_the_wall_clock_counts(harness: ControllerHarness) -> None:
    """What runs elsewhere runs on."""
    bring_to_running(harness)
    harness.wait(LIMIT / 2)
    harness.clock.boot_id, harness.clock.since_boot = "boot-2", 5.0
    harness.restart()
    harness.report(PhaseChanged(JobState.RUNNING, started=BootMoment("boot-2", 4.0)))
    assert stops(harness) == []

    harness.wait(LIMIT / 2 + 1)
    assert len(stops(harness)) == 1


def test_a_wrong_limit_fails_the_job_before_it_runs(harness: ControllerHarness) -> None:
    harness.claim(resource_args={"local-process": {"launchd": {"max_runtime_seconds": "soon"}}})
    assert harness.job().state is JobState.FAILED
    assert "max_runtime_seconds in the run spec must be a time above 0" in (harness.job().message or "")


def test_the_start_fits_into_a_message() -> None:
    encode(PhaseChanged(JobState.RUNNING, "x" * 10_000, BootMoment("b" * 36, 123456789.123456)))
