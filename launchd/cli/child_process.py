"""Child processes of `launchd up`: their start, restarts, end and log files, and the signals of the parent.

The parent must have one thread alone, since `preexec_fn` is used.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

#: A child that ran for less time is restarted after a delay, which is doubled each time.
MIN_UPTIME_SECONDS = 10.0
FIRST_RESTART_DELAY_SECONDS, LONGEST_RESTART_DELAY_SECONDS = 0.5, 30.0

#: A log that is longer than this at a start is renamed to ``.1``, in place of an older one.
MAX_LOG_BYTES = 16 * 1024 * 1024


class ChildProcess:
    """The process of `launchd ARGUMENTS...` in a session of its own, started at once; its output goes to ``log``."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._log = log
        self._environ = environ
        self._delay = FIRST_RESTART_DELAY_SECONDS
        self._start()

    def exit_code(self) -> int | None:
        """Return the exit code, ``None`` while the process runs."""
        return self._process.poll()

    def restart(self) -> bool:
        """Start an ended process again, unless its delay is not over; returns whether it was started."""
        uptime = time.monotonic() - self._started_at
        if uptime > MIN_UPTIME_SECONDS:
            self._delay = FIRST_RESTART_DELAY_SECONDS
        elif uptime < self._delay:
            return False
        else:
            self._delay = min(LONGEST_RESTART_DELAY_SECONDS, self._delay * 2)
        self._start()
        return True

    def stop(self, seconds: float) -> None:
        """End the process by SIGTERM, after ``seconds`` by SIGKILL."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Return the last line of its output, without the ``Error:`` of a command."""
        lines = self._log.read_bytes()[self._log_start :].decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else f"It said nothing; its log is {self._log}."

    def _start(self) -> None:
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_name(f"{self._log.name}.1"))
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                # -P: a queue.py in the working directory must not hide the standard library's.
                [sys.executable, "-P", "-m", "launchd", *self._arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches the parent alone, which ends its children one after the other.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        self._started_at = time.monotonic()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


class Signals:
    """Waits for SIGINT, SIGTERM, SIGHUP and the ends of child processes."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def wait(self, seconds: float) -> None:
        """Wait for the next signal, at most ``seconds``."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 4096)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.stop_requested = True
