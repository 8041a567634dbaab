"""Watches a running command to its end: its output, its stop, what it leaves behind, how it ended.

One thread, one loop that sleeps until something happens. Everything the command
starts stays below this process (it adopts orphans), so nothing is lost.
"""

import fcntl
import math
import os
import resource
import select
import signal
import time
from pathlib import Path

from ipc.boot_clock import boot_seconds
from ipc.control_groups import ControlGroup, Usage
from ipc.sizes import format_size
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
        self._group = ControlGroup(launch.group) if launch.group else None
        self._main = command.pid
        self._command = command
        self._pipe = command.output
        self._inbox = inbox
        self._output = output
        self._deadlines = Deadlines()
        self._began = boot_seconds()
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
        is_empty = self._group is None or self._group.end(GIVE_UP_SECONDS)
        record = self._exit_record()
        if self._group is not None and is_empty:
            self._group.remove()
        return record

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
            everyone = self._everyone()
            processes.kill(everyone, signal.SIGTERM)
            # A stopped process would not see its SIGTERM before it is killed.
            processes.kill(everyone, signal.SIGCONT)

    def _everyone(self) -> set[int]:
        members = self._group.members() if self._group is not None else set()
        return members | processes.descendants([os.getpid()])

    def _kill_everyone(self) -> None:
        if self._group is not None:
            self._group.kill()
        processes.kill(self._everyone(), signal.SIGKILL)

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
            self._kill_everyone()

    def _drain(self) -> None:
        """Carry over what is left in the pipe, and no more than it can hold: an unkillable process may still write."""
        left = fcntl.fcntl(self._pipe, fcntl.F_GETPIPE_SZ)
        while left > 0 and (carried := self._pump()):
            left -= carried

    def _exit_record(self) -> ExitRecord:
        code, number = _decode(self._status)
        limit = self._exceeded_memory(code)
        oom_killed = limit is not None or self._was_oom_killed(number)
        usage = self._usage()
        return ExitRecord(
            ended_at=time.time(),
            code=code,
            signal=number,
            stopped=self._stopped,
            oom_killed=oom_killed,
            message=_over_limit(limit) if limit is not None else self._describe(code, number, oom_killed),
            survivors=() if self._no_children_left else _survivors(),
            cpu_seconds=usage.cpu_seconds,
            peak_memory_bytes=usage.peak_memory_bytes,
            run_seconds=boot_seconds() - self._began,
        )

    def _exceeded_memory(self, code: int | None) -> int | None:
        """Return the limit of memory, in bytes, for which the command was killed; ``None`` where that was not why."""
        if self._group is None or code == 0 or self._stopped or self._ended_by_signal:
            return None
        return self._group.exceeded_memory()

    def _usage(self) -> Usage:
        """Return what the command used: by its group, and where that does not say, by the processes waited for."""
        waited, own = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
        # The kernel counts for a process what it was before it ran the command: a copy of this one.
        is_theirs = waited.ru_maxrss > own.ru_maxrss
        seen = Usage(waited.ru_utime + waited.ru_stime, waited.ru_maxrss * 1024 if is_theirs else None)
        held = self._group.usage() if self._group is not None else Usage()
        return Usage(
            seen.cpu_seconds if held.cpu_seconds is None else held.cpu_seconds,
            seen.peak_memory_bytes if held.peak_memory_bytes is None else held.peak_memory_bytes,
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


def _over_limit(limit: int) -> str:
    return f"The job was killed because it used more memory than its limit of {format_size(limit)}."


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
