"""A run that `launch` started, as its caller holds it. Owns its status; the agent's process tells it what happens."""

import abc
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launchd.agent.output_reader import OutputReader
from launchd.api.errors import ExecutionError, LaunchError
from launchd.api.item_status import OVER, has_ended
from launchd.client.queue_server import Report

FINISHED = "finished"


class AbstractRun(abc.ABC):
    """Something that runs, or did (W&B: `wandb.sdk.launch.runner.abstract.AbstractRun`)."""

    @property
    @abc.abstractmethod
    def id(self) -> str:
        """The run id, which the run has at the server as well."""

    @property
    @abc.abstractmethod
    def status(self) -> str:
        """starting, running, stopping, finished, failed, stopped, preempted or unknown."""

    @abc.abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, at most `timeout` seconds; return whether it finished well.

        Raises:
            TimeoutError: it took longer.
        """

    @abc.abstractmethod
    def cancel(self, reason: str = "") -> None:
        """Have it stopped, and return at once."""

    @abc.abstractmethod
    def logs(self) -> str:
        """What it has printed so far."""


class SubmittedRun(AbstractRun):
    """A run of this machine (W&B: `wandb.launch.SubmittedRun`).

    `entity`, `project` and `name` are those of the run; `output` is the file with what it prints, the newest of several
    where it prints much. `message`, `stage` and `exit_code` say how it ended, where that is known.
    """

    def __init__(
        self, run_id: str, entity: str, project: str, name: str | None, output: Path, stop: Callable[[str], None]
    ) -> None:
        self._id = run_id
        self.entity = entity
        self.project = project
        self.name = name
        self.output = output
        self._stop = stop
        self._changed = threading.Condition()
        self._report: Report | None = None
        self._problem: str | None = None

    @property
    def id(self) -> str:
        """The run id, which the run has at the server as well."""
        return self._id

    @property
    def status(self) -> str:
        """starting, running, stopping, finished, failed, stopped, preempted or unknown."""
        if self._problem is not None:
            return "unknown"
        return self._report.status if self._report else "starting"

    @property
    def phase(self) -> str | None:
        """What is being done for it, such as `building`."""
        return self._report.phase if self._report else None

    @property
    def message(self) -> str | None:
        """Why it ended as it did, or what is being done for it."""
        return self._problem or (self._report.message if self._report else None)

    @property
    def stage(self) -> str | None:
        """Where it failed: agent, build or run."""
        return self._report.stage if self._report else None

    @property
    def exit_code(self) -> int | None:
        """The exit code of its command; 128 + the number of the signal that killed it."""
        return self._report.exit_code if self._report else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self._problem is not None or self.status in OVER

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is over, at most `timeout` seconds; return whether it finished well.

        Raises:
            TimeoutError: it took longer.
            LaunchError: what runs it cannot go on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self.is_over:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"Run {self.id} is not over after {timeout:g} s; it is {self.status}.")
                self._changed.wait(left)
        if self._problem is not None:
            raise LaunchError(f"Run {self.id} was not run: {self._problem}")
        return self.status == FINISHED

    def wait_well(self) -> None:
        """Wait until it is over; raises :class:`ExecutionError` unless it finished well."""
        if not self.wait():
            how = has_ended(self.status, self.stage, self.message)
            raise ExecutionError(f"Run {self.id} {how} Its output: {self.output}", self.id, self.status)

    def cancel(self, reason: str = "cancelled by its caller") -> None:
        """Have it stopped, with all it started; `reason` is told with it. Returns at once, :meth:`wait` for its end."""
        if not self.is_over:
            self._stop(reason)

    def logs(self) -> str:
        """What it has printed so far; of very much, the end."""
        reader = OutputReader(self.output)
        try:
            return b"".join(reader.read()).decode(errors="replace")
        finally:
            reader.close()

    def on_report(self, report: Report) -> None:
        """Note what the agent's process tells. Not for users."""
        with self._changed:
            if not self.is_over:
                self._report = report
            self._changed.notify_all()

    def on_agent_lost(self, trouble: str) -> None:
        """Note that nobody can tell any more how it stands. Not for users."""
        with self._changed:
            if not self.is_over:
                self._problem = trouble
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<SubmittedRun {self.id} ({self.status})>"
