"""A job as its phases see it, with what it sent to the supervisor: fixtures, to be imported by a ``conftest``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.messages import Event, PhaseChanged, WarningRaised
from ipc.run_spec import RunSpec
from tests.support.orders import an_order
from workers.context import JobContext


class Heard(list[Event]):
    """What the supervisor heard of a job."""

    def progress(self) -> list[str]:
        return [event.message for event in self if isinstance(event, PhaseChanged) and event.message]

    def warnings(self) -> list[str]:
        return [event.message for event in self if isinstance(event, WarningRaised)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def make_context(tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> Callable[..., JobContext]:
    """Contexts of jobs; ``spec`` and ``order`` replace what the test is about."""
    monkeypatch.setattr("workers.context.PROGRESS_INTERVAL_SECONDS", 0.0)

    def make(name: str = "launchd-0123456789abcdef-1", spec: dict[str, Any] | None = None, **order: Any) -> JobContext:
        directory = tmp_path / "jobs" / name
        (directory / "work").mkdir(parents=True)
        plain = {"entity": "ada", "project": "engine", "run_id": "run1", "resource": "fake"}
        run_spec = RunSpec(**{**plain, **(spec or {})})
        return JobContext(an_order(directory, name, spec=run_spec, **order), "key1", heard.append)

    return make


@pytest.fixture
def context(make_context: Callable[..., JobContext]) -> JobContext:
    return make_context()
