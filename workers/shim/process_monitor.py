"""Watches a running command to its end: its output, its stop, what it leaves behind, how it ended.

One thread, one loop that sleeps until something happens. Everything the command
starts stays below this process (it adopts orphans), so nothing is lost.
"""

import fcntl
import math
import os
import select
import signal
import time
from pathlib import Path

from workers import processes
from workers.output import OutputWriter
from workers.shim import records
from workers.shim.messages import ShimLaunchRequest
from workers.shim.records import ExitRecord
from workers.shim.signals import STOP_SIGNAL, SignalInbox
from workers.shim.spawn import SpawnedCommand

#: What a command leaves behind has this long from SIGTERM to SIGKILL.
LEFTOVER_GRACE_SECONDS = 2.0
#: Processes that are still there this long after SIGKILL hang in the kernel; the job ends without them.
GIVE_UP_SECONDS = 10.0
_KILL_AGAIN_SECONDS = 0.02
#: How many of the processes that could not be killed are named in the exit record, whose room is limited.
_SURVIVORS_NAMED = 100
_READ_BYTES = 64 * 1024


class Deadlines:
    """When the command's processes are to be killed, and when to stop waiting for their death (monotonic seconds)."""

    def __init__(self) -> None:
        self.kill_at = math.inf

    @property
    def give_up_at(self) -> float:
        """When to go on without those that SIGKILL did not end."""
        return self.kill_at + GIVE_UP_SECONDS

    def bring_forward(self, grace_seconds: float) -> None:
        """Kill after ``grace_seconds``, unless it was to happen earlier already."""
        self.kill_at = min(self.kill_at, time.monotonic() + grace_seconds)

    def poll_milliseconds(self) -> float | None:
        """Return how long to sleep at most, as :meth:`select.poll.poll` wants it."""
        if self.kill_at == math.inf:
            return None
        return max(_KILL_AGAIN_SECONDS, self.kill_at - time.monotonic()) * 1000


class ProcessMonitor:
    """Watches one command that was spawned."""

    def __init__(
        self, launch: ShimLaunchRequest, command: SpawnedCommand, inbox: SignalInbox, output: OutputWriter
    ) -> None:
        self._directory = Path(launch.directory)
        self._default_grace = launch.jobs.stop_grace_seconds
        self._main = command.pid
        self._command = command
        self._pipe = command.output
        self._inbox = inbox
        self._output = output
        self._deadlines = Deadlines()
        self._status: int | None = None
        self._no_children_left = False
        self._ending = False
        self._drained = False
        self._stopped = False
        self._ended_by_signal = False
        self._oom_kills_before = processes.oom_kills()
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._poll.register(inbox, select.POLLIN)

    def run(self) -> ExitRecord:
        """Return how the command ended, once nothing of it is left."""
        self._read_stop()
        while not self._is_over():
            self._wait()
            self._read_stop()
            self._reap()
            self._end_the_rest()
        self._drain()
        return self._exit_record()

    def _is_over(self) -> bool:
        return self._no_children_left or time.monotonic() > self._deadlines.give_up_at

    def _wait(self) -> None:
        for descriptor, _ in self._poll.poll(self._deadlines.poll_milliseconds()):
            if descriptor == self._pipe:
                self._pump()
            else:
                self._inbox.clear()

    def _pump(self) -> int:
        """Carry what is in the pipe to the files; return how many bytes that was."""
        try:
            data = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._output.write(data)
        elif not self._drained:
            self._drained = True
            self._poll.unregister(self._pipe)
        return len(data)

    def _read_stop(self) -> None:
        if self._inbox.take(STOP_SIGNAL):
            order = records.read_stop(self._directory)
            self._stopped |= self._status is None
            self._begin_end(order.grace_seconds if order else self._default_grace)
        if self._inbox.take(signal.SIGTERM):
            self._ended_by_signal |= self._status is None
            self._begin_end(self._default_grace)

    def _begin_end(self, grace_seconds: float) -> None:
        self._deadlines.bring_forward(grace_seconds)
        if not self._ending:
            self._ending = True
            everyone = processes.descendants([os.getpid()])
            processes.kill(everyone, signal.SIGTERM)
            # A stopped process would not see its SIGTERM before it is killed.
            processes.kill(everyone, signal.SIGCONT)

    def _reap(self) -> None:
        while not self._no_children_left:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._no_children_left = True
                return
            if pid == 0:
                return
            if pid == self._main:
                self._status = status

    def _end_the_rest(self) -> None:
        """Once the main process is gone, end what it left; kill what is left after the grace."""
        if self._status is not None and not self._no_children_left and not self._ending:
            self._begin_end(LEFTOVER_GRACE_SECONDS)
        if time.monotonic() >= self._deadlines.kill_at:
            processes.kill(processes.descendants([os.getpid()]), signal.SIGKILL)

    def _drain(self) -> None:
        """Carry over what is left in the pipe, and no more than it can hold: an unkillable process may still write."""
        left = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ)
        while left > 0 and (carried := self._pump()):
            left -= carried

    def _exit_record(self) -> ExitRecord:
        code, number = _decode(self._status)
        oom_killed = self._was_oom_killed(number)
        return ExitRecord(
            ended_at=time.time(),
            code=code,
            signal=number,
            stopped=self._stopped,
            oom_killed=oom_killed,
            message=self._describe(code, number, oom_killed),
            survivors=() if self._no_children_left else _survivors(),
        )

    def _was_oom_killed(self, number: int | None) -> bool:
        return number == signal.SIGKILL and not self._ending and processes.oom_kills() > self._oom_kills_before

    def _describe(self, code: int | None, number: int | None, oom_killed: bool) -> str | None:
        if self._ended_by_signal and not self._stopped:
            return "The command was ended because the process that keeps it received SIGTERM, as at a host's shutdown."
        if oom_killed:
            return "The command was killed (SIGKILL) while the host ran out of memory."
        if number is not None:
            return f"The command was killed by {_signal_name(number)}."
        if code is None:
            return f"The command's main process was still there {GIVE_UP_SECONDS:g} s after SIGKILL."
        return f"The command ended with exit code {code}." if code else None


def _survivors() -> tuple[int, ...]:
    return tuple(sorted(processes.descendants([os.getpid()]))[:_SURVIVORS_NAMED])


def _decode(status: int | None) -> tuple[int | None, int | None]:
    """Return the exit code and the signal in a wait status."""
    if status is None:
        return None, None
    code = os.waitstatus_to_exitcode(status)
    return (code, None) if code >= 0 else (None, -code)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
