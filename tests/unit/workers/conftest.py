"""A job as its phases see it, with what it sent to the supervisor."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ipc.messages import Event, PhaseChanged
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder
from workers.context import JobContext

IDENTITY = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"} | {
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


class Heard(list[Event]):
    """What the supervisor heard of a job."""

    def progress(self) -> list[str]:
        return [event.message for event in self if isinstance(event, PhaseChanged) and event.message]


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
        values: dict[str, Any] = {
            "name": name,
            "item_id": "item1",
            "queue": "gpus",
            "entity": "team",
            "attempt": 1,
            "base_url": "http://localhost:1",
            "spec": run_spec,
            "directory": str(directory),
        }
        return JobContext(WorkOrder(**{**values, **order}), "key1", heard.append)

    return make


@pytest.fixture
def context(make_context: Callable[..., JobContext]) -> JobContext:
    return make_context()


class Origin:
    """A repository to fetch from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **IDENTITY}
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, content: str) -> str:
        (self.path / "main.py").write_text(content)
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", content)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")
