"""The agent's process, from the side of the program. Owns the child process, the pipes and the thread that reads."""

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from launchd.api.embedded.protocol import FromAgent, StartAgent, ToAgent, decode_from_agent, encode_line

LOG_FILE = "agent.log"

#: How long a process may take to end by itself.
LEAVE_SECONDS = 20.0

log = logging.getLogger(__name__)


class ChildAgent:
    """A supervisor in a child process.

    In a thread of its own, ``on_message`` is called with each message, and ``on_exit`` with the exit code.
    """

    def __init__(
        self,
        start_message: StartAgent,
        directory: Path,
        on_message: Callable[[FromAgent], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._write_lock = threading.Lock()
        self._exited = threading.Event()
        self._on_message = on_message
        self._on_exit = on_exit
        self.log_path = directory / LOG_FILE
        with self.log_path.open("ab") as own_log:
            self._process = subprocess.Popen(
                # -P: a queue.py in the working directory must not hide the standard library's.
                [sys.executable, "-P", "-m", "launchd.api.embedded.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=own_log,
                # Ctrl-C reaches the program alone, which decides about the jobs.
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._send_line(encode_line(start_message))
        threading.Thread(target=self._listen, name="launchd-agent", daemon=True).start()

    def send(self, message: ToAgent) -> None:
        """Send ``message``. A process that has ended is ignored: ``on_exit`` is called for it."""
        self._send_line(encode_line(message))

    def is_alive(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end of the process and of its messages; ``None`` after ``seconds``.

        Returns:
            The exit code.
        """
        # Not by a join of the thread: after a Ctrl-C during the join, Python 3.11 takes the thread to have ended.
        return self._process.returncode if self._exited.wait(seconds) else None

    def terminate(self) -> None:
        """End the process by SIGTERM, after a timeout by SIGKILL; its jobs run on."""
        self._process.terminate()
        if self.wait(LEAVE_SECONDS) is None:
            self._process.kill()
            self.wait()

    def last_log_line(self) -> str:
        """Return the last line of its log."""
        lines = self.log_path.read_bytes().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "It said nothing."

    def _send_line(self, line: bytes) -> None:
        with self._write_lock, contextlib.suppress(BrokenPipeError, ValueError):
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()

    def _listen(self) -> None:
        for line in _pipe(self._process.stdout):
            try:
                self._on_message(decode_from_agent(line))
            except msgspec.DecodeError as error:
                log.error("An agent's process sent a line that is no message.", extra={"error": str(error)})
        code = self._process.wait()
        self._close()
        self._exited.set()
        self._on_exit(code)

    def _close(self) -> None:
        with self._write_lock, contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()
        _pipe(self._process.stdout).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe
