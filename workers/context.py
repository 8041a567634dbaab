"""What a source, a builder or a runner may know and say of its job.

The one way from a phase to the outside: progress and warnings go through here
to the supervisor, a stop request comes in through here.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ipc.errors import JobCancelled, JobError
from ipc.messages import Event, Failed, PhaseChanged, WarningRaised, fitting, shorten
from ipc.states import JobState
from ipc.work_order import WorkOrder

#: Progress texts reach the supervisor at most this often.
PROGRESS_INTERVAL_SECONDS = 0.5

#: In the job's directory: what did not fit into a message about a failure.
FAILURE_FILE = "failure.txt"


class JobContext:
    """One job as its phases see it. ``cancel`` may be called from any thread, the rest from the job's own."""

    def __init__(self, order: WorkOrder, api_key: str, send: Callable[[Event], None]) -> None:
        self.order = order
        self.api_key = api_key
        self.directory = Path(order.directory)
        self.work = self.directory / "work"
        self.send = send
        self._phase = JobState.CLAIMED
        self._message: str | None = None
        self._progress_at = 0.0
        self._cancel_reason: str | None = None
        self._cancel_reader, self._cancel_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def report_phase(self, phase: JobState, message: str | None = None) -> None:
        """Tell the supervisor that the job is in ``phase``, unless it was told just that."""
        if (phase, message) != (self._phase, self._message):
            self._phase, self._message = phase, message
            self.send(PhaseChanged(phase, message and shorten(message)))

    def progress(self, message: str) -> None:
        """Say what is being done, for whoever waits; too frequent texts are dropped."""
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_INTERVAL_SECONDS:
            self._progress_at = now
            self.report_phase(self._phase, message)

    def warn(self, message: str, stage: str) -> None:
        """Attach a warning to the run queue item; ``stage`` is W&B's word (``agent``, ``build``, ``run``)."""
        self.send(WarningRaised(shorten(message), stage))

    def report_failure(self, error: JobError) -> None:
        """Tell the supervisor that the job cannot be run; what is too long for a message goes to a file."""
        report = error.report()
        short = fitting(report)
        if error.detail or short != report:
            path = self.directory / FAILURE_FILE
            path.write_text(f"{report.sentence()}\n\n{error.detail or ''}\n", errors="replace")
            short = msgspec.structs.replace(short, detail_path=str(path))
        self.send(Failed(short))

    def cancel(self, reason: str) -> None:
        """Ask the phase that runs to stop."""
        self._cancel_reason = reason
        os.write(self._cancel_writer, b"c")

    def raise_if_cancelled(self) -> None:
        """Raise :class:`JobCancelled` after a stop request."""
        if self._cancel_reason is not None:
            raise JobCancelled(f"The job was stopped: {self._cancel_reason}.")

    def cancel_fileno(self) -> int:
        """Return a descriptor that is readable from the stop request on, to be waited on beside others."""
        return self._cancel_reader
