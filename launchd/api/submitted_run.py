"""A run that `launch` started. Owns its status, which is updated from the reports of the agent's process."""

import abc
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launchd.agent.output_reader import OutputReader
from launchd.api.errors import ExecutionError, LaunchError
from launchd.api.item_status import TERMINAL_STATUSES, describe_ending
from launchd.client.queue_server import Report

FINISHED = "finished"


class AbstractRun(abc.ABC):
    """A run, active or ended (W&B: `wandb.sdk.launch.runner.abstract.AbstractRun`)."""

    @property
    @abc.abstractmethod
    def id(self) -> str:
        """Id of the run, at the server too."""

    @property
    @abc.abstractmethod
    def status(self) -> str:
        """Status: starting, running, stopping, finished, failed, stopped, preempted or unknown."""

    @abc.abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run, at most `timeout` seconds; return whether its status is finished.

        Raises:
            TimeoutError: the run is not over after `timeout` seconds.
        """

    @abc.abstractmethod
    def cancel(self, reason: str = "") -> None:
        """Request the stop of the run, and return at once."""

    @abc.abstractmethod
    def logs(self) -> str:
        """Return the output so far."""


class SubmittedRun(AbstractRun):
    """A run on this machine, as `launch` returns it (W&B: `wandb.launch.SubmittedRun`).

    `entity`, `project` and `name` are those of the run; `output` is the path of the file with its output, the newest
    file of several where there is much output.
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
        """Id of the run, at the server too."""
        return self._id

    @property
    def status(self) -> str:
        """Status: starting, running, stopping, finished, failed, stopped, preempted or unknown."""
        if self._problem is not None:
            return "unknown"
        return self._report.status if self._report else "starting"

    @property
    def phase(self) -> str | None:
        """Phase of the job, such as `building`; `None` before the first report."""
        return self._report.phase if self._report else None

    @property
    def message(self) -> str | None:
        """Reason of the outcome, or a note on the phase; `None` where there is none."""
        return self._problem or (self._report.message if self._report else None)

    @property
    def stage(self) -> str | None:
        """W&B's stage of a failure: agent, build or run; else `None`."""
        return self._report.stage if self._report else None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the command, 128 + the number of the signal that killed it; `None` where it is not known."""
        return self._report.exit_code if self._report else None

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, or its agent is lost."""
        return self._problem is not None or self.status in TERMINAL_STATUSES

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end of the run, at most `timeout` seconds; return whether its status is finished.

        Raises:
            TimeoutError: the run is not over after `timeout` seconds.
            LaunchError: the agent that runs it cannot go on.
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
        """Wait for the end of the run.

        Raises:
            ExecutionError: its status is not finished.
            LaunchError: the agent that runs it cannot go on.
        """
        if not self.wait():
            ending = describe_ending(self.status, self.stage, self.message)
            raise ExecutionError(f"Run {self.id} {ending} Its output: {self.output}", self.id, self.status)

    def cancel(self, reason: str = "cancelled by its caller") -> None:
        """Request the stop of the run with all its processes, and return at once; :meth:`wait` waits for the end.

        Args:
            reason: reported to the server with the outcome.
        """
        if not self.is_over:
            self._stop(reason)

    def logs(self) -> str:
        """Return the output so far; where there is much, its last part."""
        reader = OutputReader(self.output)
        try:
            return b"".join(reader.read()).decode(errors="replace")
        finally:
            reader.close()

    def _on_report(self, report: Report) -> None:
        """Update the status from a report of the agent's process."""
        with self._changed:
            if not self.is_over:
                self._report = report
            self._changed.notify_all()

    def _on_agent_lost(self, problem: str) -> None:
        """End the run with status unknown: its agent is lost."""
        with self._changed:
            if not self.is_over:
                self._problem = problem
            self._changed.notify_all()

    def __repr__(self) -> str:
        return f"<SubmittedRun {self.id} ({self.status})>"
