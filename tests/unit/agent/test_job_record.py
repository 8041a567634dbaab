"""What becomes of a job record, without any process."""

import msgspec
import pytest

from ipc.errors import ErrorReport
from ipc.handles import ExitResult, attempt_names
from ipc.states import IllegalTransition, JobState
from launchd.agent.job_record import (
    MAX_RESUMES,
    fail,
    finish,
    requeued_spec,
    restart,
    transition,
)
from tests.support.jobs import a_job

NOW = 105.0


def test_a_move_notes_state_time_and_message() -> None:
    job = transition(a_job(), JobState.FETCHING, NOW, "cloning")
    assert (job.state, job.state_at, job.message) == (JobState.FETCHING, NOW, "cloning")


def test_the_same_state_again_brings_a_message_and_keeps_the_time() -> None:
    job = transition(transition(a_job(), JobState.FETCHING, NOW), JobState.FETCHING, NOW + 9, "90 %")
    assert (job.state_at, job.message) == (NOW, "90 %")


def test_a_move_the_table_forbids_raises() -> None:
    with pytest.raises(IllegalTransition):
        transition(a_job(), JobState.RUNNING, NOW)


@pytest.mark.parametrize("step", [-50.0, 0.0, 300 * 86_400.0])
def test_sequences_count_whatever_the_clock_does(step: float) -> None:
    job = msgspec.structs.replace(a_job(), sequence=1000)
    assert transition(job, JobState.FETCHING, job.claimed_at + step).sequence == 1001


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (ExitResult(code=3), "The job's process ended with exit code 3."),
        (ExitResult(signal=15), "The job's process was killed by SIGTERM."),
        (ExitResult(signal=9, oom_killed=True), "The job ran out of memory and was killed."),
        (ExitResult(message="The command x was not found."), "The command x was not found."),
    ],
)
def test_a_failed_job_says_why(result: ExitResult, sentence: str) -> None:
    job = finish(msgspec.structs.replace(a_job(), state=JobState.RUNNING), JobState.FAILED, result, NOW)
    assert (job.message, job.stage) == (sentence, "run")


def test_a_stopped_job_says_who_wanted_it() -> None:
    job = msgspec.structs.replace(a_job(), state=JobState.RUNNING, stop_reason="too slow")
    assert finish(job, JobState.STOPPED, ExitResult(), NOW).message == "The job was stopped: too slow."


def test_a_killed_process_has_the_exit_code_of_a_shell() -> None:
    job = finish(msgspec.structs.replace(a_job(), state=JobState.RUNNING), JobState.FAILED, ExitResult(signal=9), NOW)
    assert job.exit_code == 137


def test_a_report_becomes_stage_and_message_with_the_hint() -> None:
    job = fail(a_job(), ErrorReport("build", "BuildError", "It broke.", "Mend it."), NOW)
    assert (job.state, job.stage, job.message) == (JobState.FAILED, "build", "It broke. Mend it.")


def test_the_next_attempt_waits_under_its_own_name() -> None:
    job = restart(transition(a_job("a"), JobState.FETCHING, NOW), NOW, "The worker died.")
    assert (job.state, job.attempt, job.name, job.message) == (JobState.CLAIMED, 2, "launchd-a-2", "The worker died.")
    assert job.key_name == "launchd-a-1"


def test_the_names_of_all_attempts() -> None:
    assert attempt_names("launchd-0a-3", 3) == ("launchd-0a-1", "launchd-0a-2", "launchd-0a-3")


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.CLAIMED])
def test_a_job_does_not_end_in_a_state_that_is_no_end(state: JobState) -> None:
    running = msgspec.structs.replace(a_job(), state=JobState.RUNNING)
    with pytest.raises(IllegalTransition):
        finish(running, state, ExitResult(code=0), NOW)


def test_a_preempted_run_goes_back_without_its_sweep() -> None:
    spec = requeued_spec(a_job("x"), "entity")
    assert spec == {"entity": "entity", "project": "project", "run_id": "run-x", "_resume_count": 1}


def test_a_run_is_not_put_back_for_ever() -> None:
    job = a_job()
    job = msgspec.structs.replace(job, spec=msgspec.structs.replace(job.spec, resume_count=MAX_RESUMES))
    assert requeued_spec(job, "entity") is None


def test_a_run_of_another_entity_is_not_put_back() -> None:
    assert requeued_spec(a_job(), "somebody-else") is None
