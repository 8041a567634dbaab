"""Runs a tool (git, pip, uv) for a phase of a job: watched, interruptible, and never left behind.

Owns the tool's processes and their output. What an exit code means is the caller's to say.
"""

import errno
import logging
import os
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import msgspec

from ipc.control_groups import TOOLS_SUFFIX, ControlGroup
from ipc.trees import interpreter_for_users
from ipc.work_order import JobUser, WorkOrder
from workers import processes, tool_monitor
from workers.context import JobContext

#: How much of the end of a tool's output is kept for the error's detail, in characters.
KEPT_OUTPUT = 16 * 1024
#: From SIGTERM to SIGKILL when a tool is ended early.
END_GRACE_SECONDS = 2.0
#: From the end of a tool to that of its monitor, which kills what the tool left.
MONITOR_GRACE_SECONDS = tool_monitor.GIVE_UP_SECONDS + 2.0
#: A silent tool that uses at least this share of a processor is at work (pip compiling, for instance), not stuck.
_BUSY_SHARE = 0.01
#: How often a tool that heeds no stop looks whether its worker is to leave.
LOOK_SECONDS = 0.5
_READ_BYTES = 64 * 1024
_LONGEST_LINE = 8 * 1024

log = logging.getLogger(__name__)


class ToolFailed(Exception):
    """A tool did not succeed. ``message`` is a sentence, ``output`` the end of what it wrote."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.message = message
        self.output = output


class Limits(msgspec.Struct, frozen=True):
    """How long a tool may take in all, and how long without a sign of progress; seconds, ``None`` for ever.

    ``total_key`` and ``silent_key`` are the keys of ``launch-config.yaml`` that say so, for people; empty for none.
    """

    total_seconds: float | None = None
    silent_seconds: float | None = None
    total_key: str = ""
    silent_key: str = ""


class ToolCommand(msgspec.Struct, frozen=True):
    """One call of a tool, without a shell. ``user`` is whom it runs as, ``keep_open`` descriptors it inherits.

    ``umask`` of -1 is the worker's own. ``name`` is what people know it by, None for that of its file. ``told`` is a
    descriptor of what it reads, None for nothing. A tool that ``heeds_stop`` ends when its job is stopped; another one
    ends only where the worker is to leave.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    limits: Limits = Limits()
    user: JobUser | None = None
    keep_open: tuple[int, ...] = ()
    umask: int = -1
    name: str | None = None
    told: int | None = None
    heeds_stop: bool = True


def run_command(
    context: JobContext, command: ToolCommand, on_line: Callable[[str], None], redact: Callable[[str], str] = str
) -> str:
    """Run ``command`` to its end and return the end of its output (standard output and error together).

    ``on_line`` gets each line as it comes; all text that leaves this function went through ``redact``.

    Raises:
        ToolFailed: it could not be started, took too long, made no progress, or its exit code is not 0.
        JobCancelled: the job was stopped meanwhile.
    """
    _leave_if_told(context, command)
    running = _RunningCommand(command, _Output(on_line, redact), make_tools_group(context.order))
    try:
        return running.follow(context)
    finally:
        running.end()


class _Output:
    """Makes lines of a tool's bytes and keeps the last of them."""

    def __init__(self, on_line: Callable[[str], None], redact: Callable[[str], str]) -> None:
        self._on_line = on_line
        self._redact = redact
        self._unfinished = b""
        self.kept = ""

    def add(self, data: bytes) -> None:
        """Take more output. A progress bar's carriage return ends a line too."""
        *lines, self._unfinished = (self._unfinished + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._unfinished) > _LONGEST_LINE:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in filter(None, lines):
            self._take(line)

    def close(self) -> None:
        """Take what came last without an end of line."""
        if self._unfinished:
            self._take(self._unfinished)
            self._unfinished = b""

    def _take(self, data: bytes) -> None:
        line = self._redact(data.decode(errors="replace"))
        log.info("A tool wrote a line.", extra={"line": line})
        self._on_line(line)
        self.kept = f"{self.kept}{line}\n"[-KEPT_OUTPUT:]


class _Progress:
    """Knows when a tool has had its time, and when it stopped making progress (monotonic seconds)."""

    def __init__(self, pid: int, limits: Limits) -> None:
        self._pid = pid
        self._limits = limits
        self._started_at = self._seen_at = time.monotonic()
        self._cpu_seconds = 0.0

    def seen(self) -> None:
        """Note a sign of progress."""
        self._seen_at = time.monotonic()

    def remaining(self) -> float | None:
        """Return the seconds until :meth:`complaint` is worth asking, or ``None``."""
        limits = ((self._started_at, self._limits.total_seconds), (self._seen_at, self._limits.silent_seconds))
        ends = [since + seconds for since, seconds in limits if seconds is not None]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def complaint(self) -> str | None:
        """Return what the tool has done wrong, as the rest of a sentence that begins with its name."""
        now = time.monotonic()
        total, silent = self._limits.total_seconds, self._limits.silent_seconds
        if total is not None and now >= self._started_at + total:
            return f"took longer than {total:g} s and was ended{_by(self._limits.total_key)}"
        if silent is not None and now >= self._seen_at + silent and not self._is_busy(silent):
            return f"made no progress for {silent:g} s and was ended{_by(self._limits.silent_key)}"
        return None

    def _is_busy(self, silent_seconds: float) -> bool:
        used = processes.cpu_seconds({self._pid} | processes.descendants([self._pid]))
        busy = used - self._cpu_seconds >= silent_seconds * _BUSY_SHARE
        self._cpu_seconds = used
        if busy:
            self.seen()
        return busy


def _by(key: str) -> str:
    return f" ({key})" if key else ""


class _RunningCommand:
    """A tool that was started, under a monitor: see :mod:`workers.tool_monitor`."""

    def __init__(self, command: ToolCommand, output: _Output, group: ControlGroup | None) -> None:
        self._command = command
        self._name = command.name or Path(command.arguments[0]).name
        self._directory = command.directory
        self._group = group
        self._already_there = processes.adopted()
        self._report, reporting = os.pipe2(os.O_CLOEXEC)
        controlled, self._control = os.pipe2(os.O_CLOEXEC)
        try:
            self._monitor = self._start(command, reporting, controlled)
        except BaseException:
            os.close(self._report)
            os.close(self._control)
            raise
        finally:
            os.close(reporting)
            os.close(controlled)
        self._pidfd = os.pidfd_open(self._monitor.pid)
        self._progress = _Progress(self._monitor.pid, command.limits)
        self._output = output

    def follow(self, context: JobContext) -> str:
        """Wait for the tool's end, and return the end of its output."""
        assert self._monitor.stdout is not None
        pipe = self._monitor.stdout.fileno()
        os.set_blocking(pipe, False)
        with selectors.DefaultSelector() as selector:
            # What a stop has made readable stays so.
            signals = (context.signal_fileno(),) if self._command.heeds_stop else ()
            for descriptor in (pipe, self._report, *signals):
                selector.register(descriptor, selectors.EVENT_READ)
            while self._report not in (ready := {key.fd for key, _ in selector.select(self._pause())}):
                _leave_if_told(context, self._command)
                if pipe in ready and not self._read(pipe):
                    selector.unregister(pipe)
                self._complain()
        # What the tool wrote last; a process it left behind may hold the pipe open for ever.
        while self._read(pipe):
            pass
        self._output.close()
        return self._judge()

    def _pause(self) -> float | None:
        remaining = self._progress.remaining()
        return remaining if self._command.heeds_stop else min(LOOK_SECONDS, remaining or LOOK_SECONDS)

    def end(self) -> None:
        """End the tool and all it started: nothing to do after its own end but to clear up."""
        self._ask_to_end()
        os.close(self._control)
        if not _is_readable(self._pidfd, MONITOR_GRACE_SECONDS):
            log.error("What keeps a tool does not end and is killed.", extra={"tool": self._name})
            self._monitor.kill()
        if self._monitor.wait() != 0:
            self._end_orphans()
        end_tools_group(self._group)
        os.close(self._report)
        os.close(self._pidfd)
        if self._monitor.stdout is not None:
            self._monitor.stdout.close()

    def _ask_to_end(self) -> None:
        """Ask the tool to end, where it has not, and wait a moment for that."""
        # A monitor that was stopped keeps nothing. One that runs does not notice the signal.
        self._monitor.send_signal(signal.SIGCONT)
        if _is_readable(self._report, 0):
            return
        with suppress(BrokenPipeError):
            os.write(self._control, b"T")
        if not _is_readable(self._report, END_GRACE_SECONDS):
            log.warning("A tool did not end when asked to and is killed.", extra={"tool": self._name})

    def _end_orphans(self) -> None:
        """Kill what a monitor that was killed has left: its children became this worker's."""
        left_by = time.monotonic() + MONITOR_GRACE_SECONDS
        while (orphans := processes.adopted() - self._already_there) and time.monotonic() < left_by:
            processes.kill(orphans | processes.descendants(orphans), signal.SIGKILL)
            _reap(orphans)

    def _read(self, pipe: int) -> int:
        try:
            data = os.read(pipe, _READ_BYTES)
        except BlockingIOError:
            return 0
        if data:
            self._progress.seen()
            self._output.add(data)
        return len(data)

    def _complain(self) -> None:
        complaint = self._progress.complaint()
        if complaint is not None:
            self._output.close()
            raise ToolFailed(f"{self._name} {complaint}.", self._output.kept)

    def _judge(self) -> str:
        match os.read(self._report, select.PIPE_BUF).split():
            case [b"exit", b"0"]:
                return self._output.kept
            case [b"exit", code]:
                how = f"ended with exit code {int(code)}"
            case [b"signal", number]:
                how = f"was killed by signal {int(number)}"
            case [b"failed", number]:
                raise ToolFailed(self._why_not_started(int(number)), "")
            case _:
                how = "was ended, because the process that kept it was killed"
        raise ToolFailed(f"{self._name} {how}.", self._output.kept)

    def _start(self, command: ToolCommand, reporting: int, controlled: int) -> subprocess.Popen[bytes]:
        ids = (str(command.user.uid), str(command.user.gid)) if command.user else ("", "")
        group = str(self._group or "")
        words = (str(reporting), str(controlled), group, *ids, str(command.directory), *command.arguments)
        try:
            python, program = open_monitor()
            return subprocess.Popen(
                # Without the environment's packages and variables, it starts in a few milliseconds.
                (python, "-I", "-S", f"/proc/self/fd/{program}", *words),
                stdin=subprocess.DEVNULL if command.told is None else command.told,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=command.environment,
                umask=command.umask,
                pass_fds=(*command.keep_open, reporting, controlled, program),
                # Not in the worker's session, which the supervisor kills: it has to see the worker's end.
                start_new_session=True,
                preexec_fn=_be_monitor,  # noqa: PLW1509 (two system calls, which take no lock)
            )
        except (OSError, ValueError) as error:
            raise ToolFailed(f"{self._name} could not be started: {error}.", "") from error

    def _why_not_started(self, number: int) -> str:
        if number == errno.ENOENT and not self._directory.is_dir():
            return f"The directory {self._directory} was removed."
        if number == errno.ENOENT:
            return f"{self._name} is not installed on this host."
        return f"{self._name} could not be started: {os.strerror(number)}."


def _leave_if_told(context: JobContext, command: ToolCommand) -> None:
    """Raise what a tool is to be ended for."""
    if command.heeds_stop:
        context.raise_if_interrupted()
    else:
        context.stop_signal()


@cache
def open_monitor() -> tuple[str, int]:
    """Return the interpreter of monitors, and a descriptor of their program, which a process that changes user keeps.

    Users of jobs may be able to reach neither the agent's interpreter nor the file. Raises :class:`OSError`.
    """
    python = interpreter_for_users() if os.geteuid() == 0 else sys.executable
    return python, os.open(tool_monitor.__file__, os.O_RDONLY | os.O_CLOEXEC)


def make_tools_group(order: WorkOrder) -> ControlGroup | None:
    """Make the control group of the job's tools, which are held by the host's limits; ``None`` where there is none."""
    if order.control_group is None:
        return None
    group = ControlGroup(f"{order.control_group}{TOOLS_SUFFIX}")
    try:
        group.make(order.jobs.limits)
    except OSError as error:
        log.warning("A tool runs without a control group.", extra={"error": str(error)})
        return None
    return group


def end_tools_group(group: ControlGroup | None) -> None:
    """End what is left in the group, and remove it; nothing to do for ``None``."""
    if group is not None and group.end(END_GRACE_SECONDS):
        group.remove()


def _be_monitor() -> None:
    processes.adopt_orphans()
    processes.wake_without_parent()


def _is_readable(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _reap(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
