"""One job as its phases see it: what they may know of it, and what they may say about it.

Owns the one way from a phase to the outside: progress and warnings go through here to the supervisor, and what the
supervisor asks of a job that is under way comes in through here, as one signal.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import Literal

import msgspec

from ipc.boot_clock import BootMoment
from ipc.errors import JobCancelled, JobError
from ipc.exits import WorkerExit
from ipc.job_files import FAILURE_FILE
from ipc.messages import Built, Event, Failed, PhaseChanged, WarningRaised
from ipc.owned_pipe import owned_pipe
from ipc.states import JobState
from ipc.work_order import WorkOrder

#: Progress texts reach the supervisor at most this often, in seconds.
PROGRESS_INTERVAL_SECONDS = 0.5


class StopSignal(msgspec.Struct, frozen=True):
    """The job is to end, for ``reason``: politely, and after ``grace_seconds`` by force."""

    reason: str
    grace_seconds: float


class DetachSignal(msgspec.Struct, frozen=True):
    """The worker is to leave with ``exit_code`` and let its workload run on."""

    exit_code: WorkerExit


class DetachRequested(Exception):
    """The worker is to leave and let its workload run on."""

    def __init__(self, exit_code: WorkerExit) -> None:
        super().__init__(f"leaving with exit code {exit_code}")
        self.exit_code = exit_code


class JobContext:
    """One job as its phases see it. ``interrupt`` and ``note_change`` may be called from any thread,
    the rest from the job's own.
    """

    def __init__(self, order: WorkOrder, api_key: str, send: Callable[[Event], None]) -> None:
        self.order = order
        self.api_key = api_key
        self.directory = Path(order.directory)
        self.work = self.directory / "work"
        self.send = send
        self._phase = JobState.CLAIMED
        self._message: str | None = None
        self._progress_at = 0.0
        self._signal: StopSignal | DetachSignal | None = None
        self._signal_reader, self._signal_writer = owned_pipe(self)
        self._change_reader, self._change_writer = owned_pipe(self)

    def report_phase(self, phase: JobState, message: str | None = None, started: BootMoment | None = None) -> None:
        """Tell the supervisor that the job is in ``phase``, unless that was the last thing it was told.

        ``started`` is when its workload was started.
        """
        if (phase, message) != (self._phase, self._message):
            self._phase, self._message = phase, message
            self.send(PhaseChanged(phase, message, started))

    def progress(self, message: str) -> None:
        """Say what is being done, for the person who waits; too frequent texts are dropped."""
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_INTERVAL_SECONDS:
            self._progress_at = now
            self.report_phase(self._phase, message)

    def warn(self, message: str, stage: str) -> None:
        """Attach a warning to the run queue item; ``stage`` is W&B's word (``agent``, ``build``, ``run``)."""
        self.send(WarningRaised(message, stage))

    def note_built(self, kind: Literal["environment", "image"], *, reused: bool) -> None:
        """Tell the supervisor that what the job needs was built, or is there from an earlier job; for its figures."""
        self.send(Built(kind, reused))

    def report_failure(self, error: JobError) -> None:
        """Tell the supervisor that the job cannot be run; what is too long for a message goes to a file."""
        report = error.report()
        failed = Failed(report)
        if error.detail or failed.report != report:
            # On a full disk the message alone has to do.
            with suppress(OSError):
                path = self.directory / FAILURE_FILE
                path.write_text(f"{report.sentence()}\n\n{error.detail or ''}\n", errors="replace")
        self.send(failed)

    def note_change(self) -> None:
        """Have the job's thread look at the workload; any thread."""
        with suppress(BlockingIOError):  # It is full of changes already.
            os.write(self._change_writer, b"n")

    def forget_changes(self) -> None:
        """Forget the changes so far; before a look, so that what comes during the look is not lost."""
        with suppress(BlockingIOError):
            os.read(self._change_reader, 4096)

    def changes_fileno(self) -> int:
        """Return a descriptor that is readable when the workload may have changed."""
        return self._change_reader

    def interrupt(self, signal: StopSignal | DetachSignal) -> None:
        """Have the phase that runs end, and the job's thread act on ``signal``; a later signal replaces it."""
        self._signal = signal
        os.write(self._signal_writer, b"s")

    def is_interrupted(self) -> bool:
        """Return whether there is a signal."""
        return self._signal is not None

    def stop_signal(self) -> StopSignal | None:
        """Return the stop that was asked for, if any; raises :class:`DetachRequested` once the worker is to leave."""
        match self._signal:
            case DetachSignal(exit_code):
                raise DetachRequested(exit_code)
            case signal:
                return signal

    def raise_if_interrupted(self) -> None:
        """End the phase that runs, if it is to end.

        Raises:
            JobCancelled: the job is to stop.
            DetachRequested: the worker is to leave.
        """
        stop = self.stop_signal()
        if stop is not None:
            raise JobCancelled(f"The job was stopped: {stop.reason}.")

    def wait(self, seconds: float) -> None:
        """Wait, unless the phase is to end; raises as :meth:`raise_if_interrupted`."""
        connection.wait([self._signal_reader], seconds)
        self.raise_if_interrupted()

    def signal_fileno(self) -> int:
        """Return a descriptor that is readable from the first signal on, to be waited on beside others."""
        return self._signal_reader
