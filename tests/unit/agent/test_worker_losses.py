"""What becomes of a job whose worker died, by how far it had come: histories of events over a real journal."""

import pytest

from ipc.exits import WorkerExit
from ipc.messages import Adopt, PhaseChanged, Start, SubmitApproved, Submitting
from ipc.states import JobState
from tests.support.controller_harness import HANDLE, INSIDE, OUTSIDE, ControllerHarness

SIGKILLED = -9


@pytest.mark.parametrize("stage", INSIDE)
def test_a_worker_lost_before_the_workload_starts_the_job_over(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    first = harness.worker()
    harness.exit(SIGKILLED)

    assert (first.lost, harness.job().state, harness.job().losses, harness.job().attempt) == (
        True,
        JobState.CLAIMED,
        1,
        2,
    )
    [start] = harness.worker().sent
    assert type(start) is Start
    assert start.name == harness.job().name != harness.job().key_name


@pytest.mark.parametrize("stage", OUTSIDE)
def test_a_worker_lost_after_the_name_is_on_disk_is_followed_by_one_that_adopts(
    harness: ControllerHarness, stage: str
) -> None:
    harness.bring_to(stage)
    before = harness.job()
    harness.exit(SIGKILLED)

    [adopt] = harness.worker().sent
    assert type(adopt) is Adopt
    assert (adopt.name, adopt.handle) == (before.name, None if stage in ("announced", "approved") else HANDLE)
    assert (harness.job().state, harness.job().attempt) == (before.state, 1)


def test_a_workload_that_is_not_found_is_submitted_under_the_same_name(harness: ControllerHarness) -> None:
    harness.bring_to("approved")
    name = harness.job().name
    harness.exit(SIGKILLED)
    harness.report(PhaseChanged(JobState.CLAIMED))
    assert (harness.job().recorded, harness.job().handle) == (False, None)

    for state in (JobState.FETCHING, JobState.SUBMITTING):
        harness.report(PhaseChanged(state))
    harness.report(Submitting(name))
    assert harness.worker().sent[-1] == SubmitApproved(name)


def test_the_third_loss_in_a_row_fails_the_job_and_says_where_to_look(harness: ControllerHarness) -> None:
    harness.bring_to("building")
    harness.exit(SIGKILLED)
    for _ in range(2):
        harness.wait(60.0)
        harness.exit(SIGKILLED)

    assert harness.job().state is JobState.FAILED
    assert "was killed by SIGKILL" in (harness.job().message or "")
    assert "3 times in a row" in (harness.job().message or "")
    assert f"jobs/{harness.job().name}/worker.log" in (harness.job().message or "")
    assert len(harness.reporter.outcomes("a")) == 1


def test_each_loss_waits_longer_for_the_next_worker(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    for pause in (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 300.0, 300.0):
        harness.exit(SIGKILLED)
        if pause:
            harness.wait(pause - 0.01)
            assert "a" not in harness.pool.busy
            harness.wait(0.02)
        assert harness.worker().commands() == [Adopt]


def test_a_worker_that_lived_long_begins_the_count_anew(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    for _ in range(5):
        harness.wait(61.0)
        harness.exit(SIGKILLED)
        assert harness.job().losses == 1


@pytest.mark.parametrize("stage", INSIDE)
def test_the_death_of_the_fork_server_is_not_held_against_the_job(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    for attempt in range(2, 7):
        harness.exit(WorkerExit.UNKNOWN)
        assert (harness.job().losses, harness.job().attempt) == (0, attempt)


@pytest.mark.parametrize("code", [WorkerExit.DETACHED, WorkerExit.ORPHANED])
def test_a_worker_that_was_to_leave_is_no_loss(harness: ControllerHarness, code: WorkerExit) -> None:
    harness.bring_to("running")
    first = harness.worker()
    harness.exit(code)
    assert (first.lost, harness.job().losses, harness.worker().commands()) == (False, 0, [Adopt])
