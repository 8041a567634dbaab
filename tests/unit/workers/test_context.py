"""What a job's phases hear of the supervisor: one signal, which stops the job or has the worker leave."""

from multiprocessing import connection

import pytest

from ipc.errors import BuildError, JobCancelled
from ipc.exits import WorkerExit
from ipc.messages import Failed
from tests.support.job_contexts import Heard
from workers.context import DetachRequested, DetachSignal, JobContext, StopSignal

STOP = StopSignal("it is late", 3.0)
DETACH = DetachSignal(WorkerExit.DETACHED)


def test_without_a_signal_a_phase_goes_on(context: JobContext) -> None:
    context.raise_if_interrupted()

    assert context.stop_signal() is None
    assert not context.is_interrupted()


def test_a_stop_cancels_the_phase_and_says_why(context: JobContext) -> None:
    context.interrupt(STOP)

    with pytest.raises(JobCancelled, match="it is late"):
        context.raise_if_interrupted()
    assert context.stop_signal() == STOP


@pytest.mark.parametrize("before", [(), (STOP,)])
def test_a_detach_is_no_stop_even_after_one(before: tuple[StopSignal, ...], context: JobContext) -> None:
    for stop in before:
        context.interrupt(stop)
    context.interrupt(DETACH)

    with pytest.raises(DetachRequested) as leaving:
        context.raise_if_interrupted()
    with pytest.raises(DetachRequested):
        context.stop_signal()
    assert leaving.value.exit_code is WorkerExit.DETACHED


@pytest.mark.parametrize("signal", [STOP, DETACH], ids=["stop", "detach"])
def test_a_signal_wakes_the_thread_that_waits(signal: StopSignal | DetachSignal, context: JobContext) -> None:
    assert connection.wait([context.signal_fileno()], 0) == []

    context.interrupt(signal)

    assert connection.wait([context.signal_fileno()], 5) == [context.signal_fileno()]


def test_a_failures_detail_lies_in_the_jobs_directory(context: JobContext, heard: Heard) -> None:
    context.report_failure(BuildError("It broke.", hint="Mend it.", detail="the last lines"))

    assert heard == [Failed(BuildError("It broke.", hint="Mend it.").report())]
    assert (context.directory / "failure.txt").read_text() == "It broke. Mend it.\n\nthe last lines\n"
