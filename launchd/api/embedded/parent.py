"""An agent's process, as the program that started it holds it. Owns the child process and the pipes; no policy."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from launchd.api.embedded.protocol import FromAgent, StartAgent, ToAgent, from_agent, line_of

LOG_FILE = "agent.log"

#: How long a process may take to leave in good order.
LEAVE_SECONDS = 20.0

log = logging.getLogger(__name__)


class ChildAgent:
    """A supervisor in a process of its own. ``heard`` gets what it says, ``ended`` its exit code, in another thread."""

    def __init__(
        self, begin: StartAgent, directory: Path, heard: Callable[[FromAgent], None], ended: Callable[[int], None]
    ) -> None:
        self._writing = threading.Lock()
        self._gone = threading.Event()
        self._heard = heard
        self._ended = ended
        self.log_path = directory / LOG_FILE
        with self.log_path.open("ab") as own_log:
            self._process = subprocess.Popen(
                # -P: the directory of the program may hold a queue.py of somebody's.
                [sys.executable, "-P", "-m", "launchd.api.embedded.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=own_log,
                # Ctrl-C reaches the caller alone, who says what becomes of the jobs.
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._send_line(line_of(begin))
        threading.Thread(target=self._listen, name="launchd-agent", daemon=True).start()

    def send(self, message: ToAgent) -> None:
        """Say something; a process that is gone will be noticed by its end."""
        self._send_line(line_of(message))

    def is_alive(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it is gone and all it said was heard; ``None`` where that takes longer than ``seconds``."""
        # Not by joining the thread: after a Ctrl-C in it, Python 3.11 takes the thread to have ended.
        return self._process.returncode if self._gone.wait(seconds) else None

    def terminate(self) -> None:
        """Tell it to leave, kill it if it does not; what runs runs on."""
        self._process.terminate()
        if self.wait(LEAVE_SECONDS) is None:
            self._process.kill()
            self.wait()

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = self.log_path.read_bytes().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "It said nothing."

    def _send_line(self, line: bytes) -> None:
        with self._writing, contextlib.suppress(BrokenPipeError, ValueError):
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()

    def _listen(self) -> None:
        for line in _pipe(self._process.stdout):
            try:
                self._heard(from_agent(line))
            except msgspec.DecodeError as error:
                log.error("An agent's process said something that is no message.", extra={"error": str(error)})
        code = self._process.wait()
        self._close()
        self._gone.set()
        self._ended(code)

    def _close(self) -> None:
        with self._writing, contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        _pipe(self._process.stdout).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
