"""The decision table of a job, as histories of events: no process, no thread, no waiting; the journal is real."""

import logging

import pytest

from ipc.errors import ErrorReport
from ipc.exits import WorkerExit
from ipc.handles import ExitResult
from ipc.messages import (
    MAX_MESSAGE_BYTES,
    Adopt,
    Event,
    Failed,
    Finished,
    Heartbeat,
    Hello,
    PhaseChanged,
    Start,
    Stop,
    SubmitApproved,
    Submitted,
    Submitting,
    WarningRaised,
    encode,
)
from ipc.states import TERMINAL_STATES, JobState
from launchd.client.queue_server import ItemAnswer
from tests.support.controller_harness import HANDLE, INSIDE, OUTSIDE, STAGES, ControllerHarness

FINISHED = Finished(JobState.FINISHED, ExitResult(code=0))
SIGKILLED = -9


def end(harness: ControllerHarness, outcome: Finished | Failed = FINISHED, item_id: str = "a") -> None:
    harness.report(outcome, item_id)
    harness.exit(WorkerExit.DONE, item_id)


# -- the way without failures


def test_a_job_goes_its_way(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    end(harness)

    assert harness.pool.workers[0].commands() == [Start, SubmitApproved]
    assert (harness.job().state, harness.job().attempt, harness.job().exit_code) == (JobState.FINISHED, 1, 0)
    assert [outcome.status for outcome in harness.reporter.outcomes("a")] == ["finished"]
    assert [report.phase for report in harness.reporter.statuses] == [
        "fetching",
        "building",
        "submitting",
        "starting",
        "running",
    ]
    assert len(harness.table) == 0


@pytest.mark.parametrize("acknowledged_first", [True, False])
def test_a_workload_needs_the_acknowledgement_and_the_name_on_disk(
    harness: ControllerHarness, acknowledged_first: bool
) -> None:
    harness.bring_to("submitting")
    name = harness.job().name
    first, second = harness.acknowledged, lambda: harness.report(Submitting(name))
    if not acknowledged_first:
        first, second = second, first

    first()
    assert SubmitApproved not in harness.worker().commands()
    second()
    assert harness.worker().sent[-1] == SubmitApproved(name)
    assert harness.job().recorded


def test_nothing_is_said_before_the_journal_has_it(harness: ControllerHarness) -> None:
    harness.bring_to("submitting")
    harness.acknowledged()
    with harness.unwritable_journal():
        harness.report(Submitting(harness.job().name))
        harness.report(WarningRaised("slow", "run"))
        assert SubmitApproved not in harness.worker().commands()
        assert harness.reporter.deliveries == []

    harness.turn()
    assert harness.worker().commands().count(SubmitApproved) == 1
    assert [delivery.kind for delivery in harness.reporter.deliveries] == ["warning"]


def test_a_claim_that_cannot_be_written_is_neither_acknowledged_nor_started(harness: ControllerHarness) -> None:
    with harness.unwritable_journal():
        harness.claim()
        assert (harness.reporter.acknowledged, harness.pool.workers[0].sent) == ([], [])

    harness.turn()
    assert (harness.reporter.acknowledged, harness.pool.workers[0].commands()) == (["a"], [Start])


def test_an_item_that_is_leased_again_is_acknowledged_again_and_runs_once(harness: ControllerHarness) -> None:
    harness.claim()
    harness.claim()
    assert (harness.reporter.acknowledged, len(harness.pool.workers)) == (["a", "a"], 1)


def test_an_item_that_is_over_and_leased_again_has_its_outcome_sent_again(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    end(harness)
    harness.claim()
    assert len(harness.pool.workers) == 1
    assert [outcome.status for outcome in harness.reporter.outcomes("a")] == ["finished", "finished"]


def test_an_item_whose_refusal_is_not_on_disk_yet_is_not_admitted_anew(harness: ControllerHarness) -> None:
    with harness.unwritable_journal():
        harness.claim(resource="kubernetes")
        harness.claim()
    harness.turn()
    assert (harness.job().state, len(harness.table)) == (JobState.FAILED, 0)


def test_workers_wait_for_their_jobs(harness: ControllerHarness) -> None:
    harness.pool.spares = 0
    harness.controller.on_claimed([], "agent-1")
    harness.claim("a")
    assert harness.pool.waiting == 0
    assert type(harness.worker("a").sent[0]) is Start


def test_what_says_nothing_changes_nothing(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    before = harness.job()
    for event in (Hello(1), Heartbeat()):
        harness.report(event)
    assert harness.job() == before


# -- outcomes


@pytest.mark.parametrize("code", [SIGKILLED, 1, WorkerExit.CRASHED, WorkerExit.UNKNOWN])
def test_an_outcome_without_exit_code_0_does_not_count(harness: ControllerHarness, code: int) -> None:
    harness.bring_to("running")
    harness.report(FINISHED)
    harness.exit(code)
    assert (harness.job().state, harness.reporter.outcomes("a")) == (JobState.RUNNING, [])
    assert harness.worker().commands() == [Adopt]


def test_exit_code_0_without_an_outcome_is_a_loss(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    first = harness.worker()
    harness.exit(WorkerExit.DONE)
    assert (first.lost, harness.job().losses, harness.worker().commands()) == (True, 1, [Adopt])


@pytest.mark.parametrize(
    ("outcome", "status", "message"),
    [
        (Finished(JobState.FINISHED, ExitResult(code=0)), "finished", None),
        (Finished(JobState.FAILED, ExitResult(code=3)), "failed", "The job's process ended with exit code 3."),
        (Finished(JobState.STOPPED, ExitResult(signal=15)), "stopped", "The job was stopped."),
        (Failed(ErrorReport("submit", "SubmitError", "It cannot start.")), "failed", "It cannot start."),
    ],
)
def test_an_outcome_is_told_once(
    harness: ControllerHarness, outcome: Finished | Failed, status: str, message: str | None
) -> None:
    harness.bring_to("running")
    end(harness, outcome)
    [told] = harness.reporter.outcomes("a")
    assert (told.status, told.message) == (status, message)


def test_a_preempted_job_goes_back_into_its_queue(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    end(harness, Finished(JobState.PREEMPTED, ExitResult()))
    assert [delivery.kind for delivery in harness.reporter.deliveries] == ["outcome", "requeue"]


@pytest.mark.parametrize("state", [state for state in JobState if state not in TERMINAL_STATES])
def test_an_impossible_outcome_ends_the_workload_and_fails_its_job_alone(
    harness: ControllerHarness, state: JobState
) -> None:
    harness.bring_to("running", "a")
    harness.bring_to("running", "b")
    end(harness, Finished(state, ExitResult()), "a")
    harness.wait(1.0)

    assert harness.worker("a").commands() == [Adopt, Stop]
    end(harness, Finished(JobState.STOPPED, ExitResult(signal=15)), "a")
    assert harness.job("a").state is JobState.FAILED
    assert "an outcome that is impossible" in (harness.job("a").message or "")
    assert harness.job("b").state is JobState.RUNNING


def test_a_worker_that_only_reports_impossible_outcomes_fails_its_job(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    for _ in range(2):
        end(harness, Finished(JobState.RUNNING, ExitResult()))
        harness.wait(1.0)
    assert harness.job().state is JobState.FAILED


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_an_outcome_before_there_was_a_workload(harness: ControllerHarness, state: JobState) -> None:
    harness.bring_to("fetching")
    end(harness, Finished(state, ExitResult(code=0)))
    assert harness.job().state in (JobState.FAILED, state)
    assert len(harness.reporter.outcomes("a")) == 1


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_a_phase_ends_no_job(harness: ControllerHarness, stage: str, state: JobState) -> None:
    harness.bring_to(stage)
    before = harness.job()
    harness.report(PhaseChanged(state))
    assert harness.job() == before
    assert harness.table.get("a") is not None


def test_a_phase_that_the_table_forbids_is_ignored(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.report(PhaseChanged(JobState.FETCHING))
    assert harness.job().state is JobState.RUNNING


# -- stops


@pytest.mark.parametrize("stage", STAGES)
def test_a_stop_reaches_the_worker(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    assert harness.stop()
    assert harness.worker().sent[-1] == Stop("too slow", 10.0)
    assert harness.stop(reason="once more")
    assert harness.worker().commands().count(Stop) == 1
    assert harness.job().stop_reason == "too slow"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stop_reaches_the_worker_while_the_journal_cannot_be_written(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    with harness.unwritable_journal():
        assert harness.stop()
        assert harness.worker().commands()[-1] is Stop


@pytest.mark.parametrize("reason", ["x" * 5_000, "d\udce9faut", "\x00" * 2_000])
def test_a_stop_is_carried_out_whatever_its_reason_is(harness: ControllerHarness, reason: str) -> None:
    harness.bring_to("running")
    assert harness.stop(reason=reason)
    stop = harness.worker().sent[-1]
    assert isinstance(stop, Stop)
    assert len(encode(stop)) <= MAX_MESSAGE_BYTES
    harness.restart()
    assert harness.job().stop_reason == stop.reason


def test_the_number_of_a_report_is_on_disk_before_it_is_shown(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    with harness.unwritable_journal():
        harness.report(PhaseChanged(JobState.FETCHING, "half of it"))
        assert all(report.message is None for report in harness.reporter.statuses)
    harness.turn()
    assert harness.reporter.statuses[-1].message == "half of it"
    assert harness.job().sequence == harness.reporter.statuses[-1].sequence


@pytest.mark.parametrize("stage", INSIDE)
def test_a_stop_and_a_lost_worker_before_the_workload_stop_the_job(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    harness.stop()
    harness.exit(SIGKILLED)
    assert (harness.job().state, harness.job().message) == (JobState.STOPPED, "The job was stopped: too slow.")


@pytest.mark.parametrize("stage", OUTSIDE)
def test_a_stop_and_a_lost_worker_after_it_are_followed_by_one_that_stops(
    harness: ControllerHarness, stage: str
) -> None:
    harness.bring_to(stage)
    harness.stop()
    harness.exit(SIGKILLED)
    assert harness.worker().commands() == [Adopt, Stop]


@pytest.mark.parametrize("stage", OUTSIDE)
def test_a_workload_without_a_worker_is_adopted_and_stopped_while_nothing_can_be_written(
    harness: ControllerHarness, stage: str
) -> None:
    harness.bring_to(stage)
    with harness.unwritable_journal():
        harness.pool.spares = 0
        harness.exit(SIGKILLED)
        assert harness.stop()
        harness.wait(1.0)
        assert harness.worker().commands() == [Adopt, Stop]


def test_a_job_that_waits_for_a_worker_is_stopped_at_once(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    harness.exit(SIGKILLED)
    harness.exit(SIGKILLED)
    assert "a" not in harness.pool.busy
    assert harness.stop()
    assert harness.job().state is JobState.STOPPED


def test_a_stop_of_an_unknown_item_says_so(harness: ControllerHarness) -> None:
    assert not harness.stop("nothing")


# -- the queue server says no


@pytest.mark.parametrize("stage", STAGES[: STAGES.index("approved")])
def test_an_item_of_another_agent_is_dropped_without_a_word(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    worker = harness.worker()
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED)
    assert worker.kill_reason == "its item is not this agent's"
    harness.exit(SIGKILLED)
    assert (harness.knows(), len(harness.table), harness.reporter.deliveries) == (False, 0, [])


def test_a_workload_that_runs_is_kept_whatever_the_acknowledgement_says(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.restart()
    harness.acknowledged(answer=ItemAnswer.LEASE_ENDED)
    assert harness.job().state is JobState.RUNNING


def test_a_job_of_a_sweep_that_is_over_fails_with_the_reason(harness: ControllerHarness) -> None:
    harness.bring_to("building")
    worker = harness.worker()
    harness.acknowledged(refusal="The sweep s is finished, so its run was not started.")
    assert (worker.kill_reason, harness.job().state) == ("its job is over", JobState.FAILED)
    assert harness.job().message == "The sweep s is finished, so its run was not started."


def test_an_item_that_the_policy_refuses_fails_without_a_worker(harness: ControllerHarness) -> None:
    harness.claim(resource="kubernetes")
    assert (harness.job().state, harness.pool.workers) == (JobState.FAILED, [])
    assert len(harness.reporter.outcomes("a")) == 1


# -- time limits


@pytest.mark.parametrize("stage", ["fetching", "building", "submitting"])
def test_a_phase_past_its_limit_fails_the_job_and_says_so(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    worker = harness.worker()
    harness.wait(100_000.0)
    assert "took longer than" in (worker.kill_reason or "")
    harness.exit(SIGKILLED)
    assert harness.job().state is JobState.FAILED
    assert (harness.job().message or "").startswith(f"{stage.capitalize()} took longer than")


def test_a_submission_past_its_limit_is_looked_for(harness: ControllerHarness) -> None:
    harness.bring_to("approved")
    harness.wait(100_000.0)
    harness.exit(SIGKILLED)
    assert harness.worker().commands() == [Adopt]


def test_a_running_job_has_no_limit(harness: ControllerHarness) -> None:
    harness.bring_to("running")
    harness.wait(1_000_000.0)
    assert harness.worker().kill_reason is None


def test_a_clock_that_jumps_ends_nobody(harness: ControllerHarness) -> None:
    harness.bring_to("fetching")
    harness.clock.wall += 1_000_000.0
    harness.wait(1.0)
    assert harness.worker().kill_reason is None


# -- the agent starts again


@pytest.mark.parametrize("stage", ["fetching", "building", "submitting"])
def test_after_a_restart_a_job_without_workload_starts_over(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    harness.restart()
    assert (harness.worker().commands(), harness.job().state, harness.job().attempt) == ([Start], JobState.CLAIMED, 2)


def test_after_a_restart_a_job_that_had_not_begun_begins(harness: ControllerHarness) -> None:
    harness.bring_to("assigned")
    harness.restart()
    assert (harness.worker().commands(), harness.job().attempt) == ([Start], 1)


@pytest.mark.parametrize("stage", OUTSIDE)
def test_after_a_restart_a_workload_is_adopted(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    harness.restart()
    assert harness.worker().commands() == [Adopt]
    harness.report(PhaseChanged(harness.job().state))
    assert harness.controller.counters["adopted"] == 1


@pytest.mark.parametrize("stage", OUTSIDE)
def test_a_stop_outlives_a_restart(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    harness.stop()
    harness.restart()
    assert harness.worker().commands() == [Adopt, Stop]


def test_what_was_not_acknowledged_is_acknowledged_again(harness: ControllerHarness) -> None:
    harness.bring_to("building", "a")
    harness.bring_to("approved", "b")
    harness.restart()
    harness.register()
    assert harness.reporter.acknowledged == ["a"]


def test_the_submitters_key_follows_its_job_through_attempts_and_restarts(harness: ControllerHarness) -> None:
    harness.claim(_wandb_api_key="key-of-the-submitter")
    harness.exit(SIGKILLED)
    harness.restart()
    start = harness.worker().sent[0]
    assert isinstance(start, Start)
    assert (start.api_key, harness.job().attempt) == ("key-of-the-submitter", 2)
    assert "key-of-the-submitter" not in harness.journal.path.read_bytes().decode("latin-1")

    for state in (JobState.FETCHING, JobState.SUBMITTING):
        harness.report(PhaseChanged(state))
    harness.report(Submitting(harness.job().name))
    harness.report(Submitted(HANDLE))
    harness.restart()
    adopt = harness.worker().sent[0]
    assert isinstance(adopt, Adopt)
    assert adopt.api_key == "key-of-the-submitter", "its target may lose it before the start"
    harness.report(PhaseChanged(JobState.RUNNING))
    assert list((harness.directory / "keys").iterdir()) == []


# -- errors of one job


@pytest.mark.parametrize("stage", INSIDE)
def test_an_error_over_a_job_fails_it_and_leaves_the_others(
    harness: ControllerHarness, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    harness.bring_to(stage, "a")
    harness.bring_to("running", "b")
    harness.reporter.broken = {"a"}
    worker = harness.worker("a")
    with caplog.at_level(logging.ERROR):
        # A second item of the same lease brings an acknowledgement, over which the reporter raises.
        harness.claim("a")

    assert worker.kill_reason == "its job is over"
    assert harness.job("a").state is JobState.FAILED
    assert "RuntimeError: nothing can be told of a" in (harness.job("a").message or "")
    assert any(record.exc_info for record in caplog.records)
    end(harness, item_id="b")
    assert harness.job("b").state is JobState.FINISHED


@pytest.mark.parametrize("stage", OUTSIDE)
def test_an_error_over_a_workload_stops_it_before_its_job_fails(harness: ControllerHarness, stage: str) -> None:
    harness.bring_to(stage)
    harness.reporter.broken = {"a"}
    harness.claim("a")

    assert harness.worker().commands()[-1] is Stop
    assert harness.job().state not in TERMINAL_STATES
    harness.reporter.broken = set()
    harness.restart()
    assert harness.worker().commands() == [Adopt, Stop]
    end(harness, Finished(JobState.STOPPED, ExitResult(signal=15)))
    assert harness.job().state is JobState.FAILED
    assert "met an unexpected error over this job" in (harness.job().message or "")


@pytest.mark.parametrize(
    "spec",
    [
        {"project": "\ud800"},
        {"run_id": "\ud800"},
        {"overrides": {"entry_point": ["\ud800"]}},
        {"uri": ["x"]},
        {"resource": 7},
    ],
)
def test_an_item_that_cannot_be_kept_fails_alone(harness: ControllerHarness, spec: dict[str, object]) -> None:
    harness.claim("bad", **spec)
    harness.bring_to("running", "good")
    assert harness.job("bad").state is JobState.FAILED
    assert len(harness.reporter.outcomes("bad")) == 1
    assert harness.job("good").state is JobState.RUNNING


def rogue_events() -> list[Event]:
    return [
        PhaseChanged(JobState.FETCHING, "\ud800"),
        WarningRaised("\ud800", "run"),
        Submitted(HANDLE),
        Submitting("another-name"),
        Finished(JobState.UNKNOWN, ExitResult(code=999)),
        Failed(ErrorReport("\ud800", "\ud800", "\ud800")),
    ]


@pytest.mark.parametrize("event", rogue_events(), ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("stage", STAGES)
def test_whatever_a_worker_says_harms_no_other_job(harness: ControllerHarness, stage: str, event: Event) -> None:
    harness.bring_to(stage, "a")
    harness.bring_to("running", "b")
    harness.report(event, "a")
    harness.exit(WorkerExit.DONE, "a")
    end(harness, item_id="b")
    assert harness.job("b").state is JobState.FINISHED
    # Its own job is told to its end, or goes on; it is in no case forgotten.
    assert harness.job("a").is_over or harness.table.get("a") is not None
