"""The control thread: commands reach the job's thread, and the supervisor hears that the worker lives."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ipc.channel import SupervisorEnd, WorkerEnd, open_channel
from ipc.messages import Detach, Heartbeat, LookAgain, Stop
from ipc.settings import SupervisionConfig
from tests.support.orders import an_order
from tests.support.waiting import wait_until
from workers.context import JobContext, StopSignal
from workers.control_thread import ControlThread, EventSender

HEARTBEAT_SECONDS = 0.1


@pytest.fixture
def ends() -> Iterator[tuple[SupervisorEnd, WorkerEnd]]:
    supervisor, worker = open_channel()
    yield supervisor, worker
    supervisor.close()


@pytest.fixture
def supervisor(ends: tuple[SupervisorEnd, WorkerEnd]) -> SupervisorEnd:
    return ends[0]


@pytest.fixture
def context(ends: tuple[SupervisorEnd, WorkerEnd], tmp_path: Path) -> Iterator[JobContext]:
    """The context of a job whose control thread runs."""
    settings = SupervisionConfig(worker_heartbeat_seconds=HEARTBEAT_SECONDS)
    sender = EventSender(ends[1])
    made = JobContext(an_order(tmp_path, supervision=settings), "key", sender.send)
    thread = ControlThread(ends[1], sender, made)
    thread._on_detach = lambda exit_code: setattr(thread, "_leaving", exit_code)  # type: ignore[method-assign]
    thread.start()
    yield made
    ends[0].send(Detach())
    thread.join(5.0)
    assert not thread.is_alive()


def heartbeats(supervisor: SupervisorEnd) -> int:
    heard = 0
    while (event := supervisor.receive()) is not None:
        heard += isinstance(event, Heartbeat)
    return heard


@pytest.mark.usefixtures("context")
def test_a_worker_that_is_told_again_and_again_still_says_that_it_lives(supervisor: SupervisorEnd) -> None:
    """A workload that changes all the time must not cost its job a worker after the other."""
    heard, began = 0, time.monotonic()
    while time.monotonic() - began < 10 * HEARTBEAT_SECONDS:
        supervisor.send(LookAgain())
        heard += heartbeats(supervisor)
        time.sleep(HEARTBEAT_SECONDS / 20)
    assert 3 <= heard <= 11


@pytest.mark.usefixtures("context")
def test_a_worker_that_is_told_nothing_says_that_it_lives(supervisor: SupervisorEnd) -> None:
    wait_until(lambda: heartbeats(supervisor), what="a heartbeat")
    wait_until(lambda: heartbeats(supervisor), what="another one")


def test_a_stop_reaches_the_job(supervisor: SupervisorEnd, context: JobContext) -> None:
    supervisor.send(Stop("too slow", 3.0))
    wait_until(context.is_interrupted, what="the signal")
    assert context.stop_signal() == StopSignal("too slow", 3.0)
