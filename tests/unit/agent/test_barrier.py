"""An unexpected error costs the task that raised it, and is logged without a flood."""

import logging

import pytest

from launchd.agent import barrier
from launchd.agent.barrier import Barrier


class Final(Exception):
    """An error that is to end the loop."""


def fail(at: Barrier, error: Exception, task: str = "event") -> None:
    with at.around(task):
        raise error


def test_an_error_costs_its_task_alone(caplog: pytest.LogCaptureFixture) -> None:
    fail(Barrier(Final), RuntimeError("on purpose"))
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["task"]) == (logging.ERROR, "event")
    assert record.exc_info is not None


def test_an_error_that_is_meant_to_end_the_loop_does() -> None:
    with pytest.raises(Final):
        fail(Barrier(Final), Final())


def test_the_same_error_is_logged_once_a_while_and_another_at_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Barrier()
    for _ in range(100):
        fail(at, RuntimeError("on purpose"))
    fail(at, RuntimeError("another"))
    fail(at, RuntimeError("on purpose"), task="request")
    assert len(caplog.records) == 3
    monkeypatch.setattr(barrier, "REPEATED_ERROR_SECONDS", 0.0)
    fail(at, RuntimeError("on purpose"))
    assert len(caplog.records) == 4
