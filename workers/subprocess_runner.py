"""Runs a tool (git, pip, uv) for a phase of a job: watched, interruptible, and never left behind.

Owns the tool's processes and their output. What an exit code means is the caller's to say.
"""

import errno
import logging
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.work_order import JobUser
from workers.context import JobContext
from workers.processes import cpu_seconds, descendants, die_with_parent

#: How much of the end of a tool's output is kept for the error's detail, in characters.
KEPT_OUTPUT = 16 * 1024
#: From SIGTERM to SIGKILL when a tool is ended early.
END_GRACE_SECONDS = 2.0
#: A silent tool that uses at least this share of a processor is at work (pip compiling, for instance), not stuck.
_BUSY_SHARE = 0.01
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
    """How long a tool may take in all, and how long without a sign of progress; seconds, ``None`` for ever."""

    total_seconds: float | None = None
    silent_seconds: float | None = None


class ToolCommand(msgspec.Struct, frozen=True):
    """One call of a tool, without a shell. ``user`` is whom it runs as, ``keep_open`` descriptors it inherits.

    ``umask`` of -1 is the worker's own.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    limits: Limits = Limits()
    user: JobUser | None = None
    keep_open: tuple[int, ...] = ()
    umask: int = -1


def run_command(
    context: JobContext, command: ToolCommand, on_line: Callable[[str], None], redact: Callable[[str], str] = str
) -> str:
    """Run ``command`` to its end and return the end of its output (standard output and error together).

    ``on_line`` gets each line as it comes; all text that leaves this function went through ``redact``.

    Raises:
        ToolFailed: it could not be started, took too long, made no progress, or its exit code is not 0.
        JobCancelled: the job was stopped meanwhile.
    """
    context.raise_if_interrupted()
    running = _RunningCommand(command, _Output(on_line, redact))
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
            return f"took longer than {total:g} s and was ended"
        if silent is not None and now >= self._seen_at + silent and not self._is_busy(silent):
            return f"made no progress for {silent:g} s and was ended"
        return None

    def _is_busy(self, silent_seconds: float) -> bool:
        used = cpu_seconds({self._pid} | descendants([self._pid]))
        busy = used - self._cpu_seconds >= silent_seconds * _BUSY_SHARE
        self._cpu_seconds = used
        if busy:
            self.seen()
        return busy


class _RunningCommand:
    """A tool that was started."""

    def __init__(self, command: ToolCommand, output: _Output) -> None:
        self._name = Path(command.arguments[0]).name
        self._process = self._start(command)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._progress = _Progress(self._process.pid, command.limits)
        self._output = output

    def follow(self, context: JobContext) -> str:
        """Wait for the tool's end, and return the end of its output."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        os.set_blocking(pipe, False)
        with selectors.DefaultSelector() as selector:
            for descriptor in (pipe, self._pidfd, context.signal_fileno()):
                selector.register(descriptor, selectors.EVENT_READ)
            while self._pidfd not in (ready := {key.fd for key, _ in selector.select(self._progress.remaining())}):
                context.raise_if_interrupted()
                if pipe in ready and not self._read(pipe):
                    selector.unregister(pipe)
                self._complain()
        # What the tool wrote last; a process it left behind may hold the pipe open for ever.
        while self._read(pipe):
            pass
        self._output.close()
        return self._judge()

    def end(self) -> None:
        """End the tool and all it started: nothing to do after its own end but to clear up."""
        self._signal_group(signal.SIGTERM)
        if not self._wait(END_GRACE_SECONDS):
            log.warning("A tool did not end when asked to and is killed.", extra={"tool": self._name})
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        os.close(self._pidfd)
        if self._process.stdout is not None:
            self._process.stdout.close()

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
        # The process stays a zombie, and its id and group belong to no other, until end() has signalled the group.
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        if ended.si_code == os.CLD_EXITED and ended.si_status == 0:
            return self._output.kept
        how = "ended with exit code" if ended.si_code == os.CLD_EXITED else "was killed by signal"
        raise ToolFailed(f"{self._name} {how} {ended.si_status}.", self._output.kept)

    def _wait(self, seconds: float) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._pidfd, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _start(self, command: ToolCommand) -> subprocess.Popen[bytes]:
        user = command.user
        try:
            return subprocess.Popen(
                command.arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=command.directory,
                env=command.environment,
                pass_fds=command.keep_open,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
                umask=command.umask,
                # A group of its own, to be ended as one, in the worker's session, which the supervisor clears up.
                process_group=0,
                preexec_fn=die_with_parent,  # noqa: PLW1509 (one system call, which takes no lock)
            )
        except OSError as error:
            raise ToolFailed(self._why_not_started(command.directory, error), "") from error

    def _why_not_started(self, directory: Path, error: OSError) -> str:
        if not directory.is_dir():
            return f"The directory {directory} was removed."
        if error.errno == errno.ENOENT:
            return f"{self._name} is not installed on this host."
        return f"{self._name} could not be started: {error.strerror}."
