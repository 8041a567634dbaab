"""The child processes of `launchd up`: started, started again when they die, ended with us.

Owns processes, their log files and the signals of the parent. The parent has one thread and must have no more.
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

#: A child that lived for less is started again only after a pause, each time twice as long.
MIN_UPTIME_SECONDS = 10.0
FIRST_RESTART_DELAY_SECONDS, LONGEST_RESTART_DELAY_SECONDS = 0.5, 30.0

#: A log that is longer than this at a start is put aside, in place of the one put aside before.
MAX_LOG_BYTES = 16 * 1024 * 1024


class ChildProcess:
    """`launchd ARGUMENTS...` in a session of its own, running from the start; what it prints goes to ``log``."""

    def __init__(self, arguments: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._arguments = arguments
        self._log = log
        self._environ = environ
        self._pause = FIRST_RESTART_DELAY_SECONDS
        self._start()

    def exit_code(self) -> int | None:
        """Return how it ended, ``None`` while it lives."""
        return self._process.poll()

    def restart(self) -> bool:
        """Start a dead child again, unless it died too quickly to do that now; says whether it did."""
        lived = time.monotonic() - self._started_at
        if lived > MIN_UPTIME_SECONDS:
            self._pause = FIRST_RESTART_DELAY_SECONDS
        elif lived < self._pause:
            return False
        else:
            self._pause = min(LONGEST_RESTART_DELAY_SECONDS, self._pause * 2)
        self._start()
        return True

    def stop(self, seconds: float) -> None:
        """Ask it to end; kill it if that takes longer than ``seconds``."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def log_tail(self) -> str:
        """Return the last line that it printed, without the ``Error:`` of a command."""
        lines = self._log.read_bytes()[self._log_start :].decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("Error: ") if lines else f"It said nothing; its log is {self._log}."

    def _start(self) -> None:
        if self._log.exists() and self._log.stat().st_size > MAX_LOG_BYTES:
            self._log.replace(self._log.with_name(f"{self._log.name}.1"))
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                # -P: the directory that we were started in may hold a queue.py of somebody's.
                [sys.executable, "-P", "-m", "launchd", *self._arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches us alone: children end one after the other.
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        self._started_at = time.monotonic()


def _end_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


class Signals:
    """SIGINT, SIGTERM, SIGHUP and the deaths of children, as something to wait for."""

    def __init__(self) -> None:
        self.stop_requested = False
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def wait(self, seconds: float) -> None:
        """Return at the next signal, at the latest after ``seconds``."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 4096)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self.stop_requested = True
