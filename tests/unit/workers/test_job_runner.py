"""The phases of a job in one process: over the fake target, with a supervisor that approves at once."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from ipc.errors import JobError
from ipc.exits import WorkerExit
from ipc.handles import Handle
from ipc.job_files import was_submitted
from ipc.messages import Event, Failed, Finished, PhaseChanged, Submitted, Submitting
from ipc.run_spec import Overrides
from ipc.settings import JobsConfig
from ipc.states import JobState
from tests.support.fake_runner import FakeRunner
from tests.support.job_contexts import Heard
from tests.support.waiting import wait_until
from workers import job_runner
from workers.context import DetachRequested, DetachSignal, JobContext, StopSignal
from workers.control_thread import ControlThread
from workers.job_runner import JobRunner
from workers.runners import LaunchRequest, Status

STOP = StopSignal("it is late", 0.0)


class Approver:
    """Stands for the control thread: the workload name is on disk as soon as it is asked for."""

    def wait_submit_approved(self) -> None:
        """Return at once."""


class Job:
    """A job that runs in this process, its worker's thread beside the test's."""

    def __init__(self, context: JobContext, heard: Heard, go: Callable[[JobRunner], None] = JobRunner.start) -> None:
        self.context = context
        self._go = go
        self.heard = heard
        self.left: DetachRequested | None = None
        runner = JobRunner(context, FakeRunner(context.order), cast(ControlThread, Approver()))
        self._thread = threading.Thread(target=self._run, args=(runner,))
        self._thread.start()

    def wait_for(self, kind: type[Event], state: JobState | None = None) -> None:
        wait_until(
            lambda: any(
                isinstance(event, kind) and state in (None, getattr(event, "state", None)) for event in list(self.heard)
            ),
            what=f"{kind.__name__} {state}",
        )

    def end(self) -> Event:
        """Wait for the end of the worker's thread; returns the last event."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.heard[-1]

    def _run(self, runner: JobRunner) -> None:
        try:
            self._go(runner)
        except DetachRequested as request:
            self.left = request


@pytest.fixture
def start(make_context: Callable[..., JobContext], heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    monkeypatch.setattr(job_runner, "RETRY_SECONDS", (0.05,))
    monkeypatch.setattr(job_runner, "STOPPING_POLL_SECONDS", 0.05)

    def do(jobs: JobsConfig | None = None, **knobs: Any) -> Job:
        spec = {"overrides": Overrides(entry_point=("true",)), "resource_args": {"fake": knobs}}
        return Job(make_context(spec=spec, jobs=jobs or JobsConfig()), heard)

    return do


def state_of(event: Event) -> JobState:
    assert isinstance(event, Finished)
    return event.state


def test_a_job_goes_through_its_phases_and_its_output_is_in_its_directory(
    start: Callable[..., Job], heard: Heard, tmp_path: Path
) -> None:
    job = start()

    assert state_of(job.end()) is JobState.FINISHED
    phases = [event.state for event in heard if isinstance(event, PhaseChanged)]
    assert phases == [JobState.FETCHING, JobState.SUBMITTING]
    assert [type(event) for event in heard if not isinstance(event, PhaseChanged)] == [Submitting, Submitted, Finished]
    assert (job.context.directory / "output.log").read_text() == "true\n"
    assert (tmp_path / "jobs" / "fake-cluster").is_dir()


def test_a_job_that_is_stopped_while_its_target_is_away_and_does_not_exist_is_not_submitted_again(
    start: Callable[..., Job], heard: Heard
) -> None:
    job = start(submit_unavailable_times=1, find_unavailable_times=10)
    job.wait_for(Submitting)
    job.context.interrupt(STOP)

    assert state_of(job.end()) is JobState.STOPPED
    assert not any(isinstance(event, Submitted) for event in heard)


def test_a_submission_that_waits_for_its_target_says_so(start: Callable[..., Job], heard: Heard) -> None:
    job = start(submit_unavailable_times=1, find_unavailable_times=3)

    assert state_of(job.end()) is JobState.FINISHED
    said = [(event.state, event.message) for event in heard if isinstance(event, PhaseChanged)]
    assert said == [
        (JobState.FETCHING, None),
        (JobState.SUBMITTING, None),
        (JobState.SUBMITTING, "The fake target is away."),
    ]


def test_a_stop_ends_the_workload(start: Callable[..., Job]) -> None:
    job = start(run_seconds=60)
    job.wait_for(PhaseChanged, JobState.RUNNING)

    job.context.interrupt(STOP)

    assert state_of(job.end()) is JobState.STOPPED
    job.wait_for(PhaseChanged, JobState.STOPPING)


def test_a_stop_that_the_target_does_not_answer_to_is_tried_again(start: Callable[..., Job]) -> None:
    job = start(run_seconds=60, cancel_unavailable_times=3)
    job.wait_for(PhaseChanged, JobState.RUNNING)

    job.context.interrupt(STOP)

    assert state_of(job.end()) is JobState.STOPPED


def test_a_stop_waits_for_a_target_that_is_away(start: Callable[..., Job]) -> None:
    job = start(run_seconds=60, inspect_unavailable_times=8)
    job.wait_for(PhaseChanged, JobState.UNKNOWN)

    job.context.interrupt(STOP)

    assert state_of(job.end()) is JobState.STOPPED


def test_a_target_that_is_away_is_told_with_what_to_do(start: Callable[..., Job], heard: Heard) -> None:
    job = start(run_seconds=0, inspect_unavailable_times=1)

    assert state_of(job.end()) is JobState.FINISHED
    said = [event.message for event in heard if isinstance(event, PhaseChanged) and event.state is JobState.UNKNOWN]
    assert said == ["The fake target did not answer. Ask it later."]


def test_a_start_that_takes_too_long_is_cancelled_even_if_the_target_answers_late(start: Callable[..., Job]) -> None:
    job = start(JobsConfig(start_timeout_seconds=0.1), start_seconds=60, cancel_unavailable_times=2)

    last = job.end()

    assert isinstance(last, Failed)
    assert last.report.kind == "StartTimeout"


@pytest.mark.parametrize("stopped_before", [False, True])
@pytest.mark.parametrize("knobs", [{"run_seconds": 60}, {"inspect_unavailable_times": 1000}], ids=["runs", "is away"])
def test_a_worker_that_leaves_says_nothing_of_an_end(
    knobs: dict[str, Any], stopped_before: bool, start: Callable[..., Job]
) -> None:
    job = start(**knobs)
    job.wait_for(Submitted)
    if stopped_before:
        job.context.interrupt(StopSignal("it is late", 60.0))

    job.context.interrupt(DetachSignal(WorkerExit.DETACHED))

    assert not isinstance(job.end(), Finished | Failed)
    assert job.left is not None
    assert job.left.exit_code is WorkerExit.DETACHED


@pytest.fixture
def rescue(
    make_context: Callable[..., JobContext], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[JobContext, Job]]:
    """A job whose workload runs for a minute, if it was submitted, and a worker that only watches it."""
    monkeypatch.setattr(job_runner, "RETRY_SECONDS", (0.05,))
    monkeypatch.setattr(job_runner, "STOPPING_POLL_SECONDS", 0.05)

    def do(*, submitted: bool = True) -> tuple[JobContext, Job]:
        knobs = {"run_seconds": 60}
        context = make_context(spec={"resource_args": {"fake": knobs}})
        if submitted:
            runner = FakeRunner(context.order)
            runner.validate()
            runner.submit(LaunchRequest(context.order.name, ("true",), {}, context.work))
        return context, Job(context, heard, lambda job: job.rescue(None))

    return do


def test_a_worker_that_only_watches_stops_the_workload_and_follows_no_output(
    rescue: Callable[[], tuple[JobContext, Job]],
) -> None:
    context, job = rescue()
    job.wait_for(PhaseChanged, JobState.RUNNING)

    context.interrupt(StopSignal("x" * 10_000, 0.0))

    assert state_of(job.end()) is JobState.STOPPED
    assert not (context.directory / "output.log").exists()
    assert [event.message for event in job.heard if isinstance(event, PhaseChanged)] == [None, None]


def test_a_worker_that_only_watches_launches_nothing(rescue: Callable[..., tuple[JobContext, Job]]) -> None:
    context, job = rescue(submitted=False)

    last = job.end()

    assert isinstance(last, Failed)
    assert last.report.kind == "NeverStarted"
    assert FakeRunner(context.order).find(context.order.name) is None


class BrokenDisk(FakeRunner):
    """A target that this host's disk lets nothing be asked of, until it is mended."""

    mended = threading.Event()

    def inspect(self, handle: Handle) -> Status:
        """Raise what a disk with errors gives."""
        if not self.mended.is_set():
            raise OSError(errno.EIO, "Input/output error")
        return super().inspect(handle)


def test_a_disk_with_errors_says_nothing_of_a_job_that_runs(
    make_context: Callable[..., JobContext], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_runner, "RETRY_SECONDS", (0.05,))
    context = make_context(spec={"overrides": Overrides(entry_point=("true",)), "resource_args": {"fake": {}}})
    job = Job(context, heard, lambda _: _runner_on(BrokenDisk(context.order), context).start())
    job.wait_for(PhaseChanged, JobState.UNKNOWN)

    BrokenDisk.mended.set()

    assert state_of(job.end()) is JobState.FINISHED


class Marked(FakeRunner):
    """A target that looks, when it is asked for a workload, whether there is a mark of that."""

    was_marked = False

    def submit(self, launch: LaunchRequest) -> Handle:
        """Note whether an agent with an earlier journal would look for the workload."""
        self.was_marked = was_submitted(Path(self._order.directory))
        return super().submit(launch)


def test_a_mark_is_left_before_the_workload_is_created(make_context: Callable[..., JobContext], heard: Heard) -> None:
    context = make_context(spec={"overrides": Overrides(entry_point=("true",)), "resource_args": {"fake": {}}})
    target = Marked(context.order)
    assert state_of(Job(context, heard, lambda _: _runner_on(target, context).start()).end()) is JobState.FINISHED
    assert target.was_marked


def _runner_on(target: FakeRunner, context: JobContext) -> JobRunner:
    return JobRunner(context, target, cast(ControlThread, Approver()))


def test_a_failure_is_told_where_nothing_can_be_written(context: JobContext, heard: Heard) -> None:
    (context.directory / "failure.txt").mkdir()

    context.report_failure(JobError("no", detail="much"))

    assert heard == [Failed(JobError("no").report())]


def test_an_image_on_a_target_without_images_is_refused_before_anything_is_there(
    make_context: Callable[..., JobContext], heard: Heard
) -> None:
    job = Job(make_context(spec={"docker_image": "python:3.12"}), heard)

    last = job.end()

    assert isinstance(last, Failed)
    assert last.report.message == "The job is the image python:3.12, but fake runs no images."
    assert not any(isinstance(event, Submitting) for event in heard)
