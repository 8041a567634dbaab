"""The thread that keeps the process which serves the metrics, and answers it.

The supervisor neither loads Prometheus' library nor reads what users of the host send to the address of the metrics. A
process does that which can do nothing but ask for the figures, over a socket that it gets at its start.
"""

import json
import logging
import os
import queue
import socket
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import Any

from launchd.agent.backoff import Backoff
from launchd.agent.control.client import ANSWER_SECONDS, read_line
from launchd.agent.events import ControlRequest, EventQueue
from launchd.config.model import MetricsConfig
from launchd.metrics.address import open_socket, parse_address

#: The code of the process, as `python -m` takes it.
EXPORTER_MODULE = "launchd.agent.exporter.process"

#: What the process needs, and the supervisor does not load.
LIBRARY = "prometheus_client"

#: Pauses before the process is started again, in seconds, while it cannot be or dies.
RESTART_BACKOFF = Backoff(1.0, 60.0)

#: How long the process may take to leave, in seconds.
LEAVE_SECONDS = 2.0

#: The longest question.
MAX_QUESTION_BYTES = 100

#: Variables that it gets; others may hold secrets.
_VARIABLES = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")

log = logging.getLogger(__name__)


class ExporterLink(threading.Thread):
    """Started once; :meth:`end` is called from the main thread."""

    def __init__(self, listen: str, events: EventQueue) -> None:
        super().__init__(name="metrics", daemon=True)
        self._address = parse_address(listen)
        self._events = events
        self._ended = threading.Event()
        self._channel: socket.socket | None = None
        self._failures = 0
        self._problem: str | None = None

    def end(self) -> None:
        """Have process and thread end."""
        self._ended.set()
        channel = self._channel
        if channel is not None:
            # Wakes the thread; a socket that it has closed meanwhile is its own affair.
            try:
                channel.shutdown(socket.SHUT_RDWR)
            except OSError:
                return

    def run(self) -> None:
        """Keep the process until told to end."""
        while not self._ended.is_set():
            self._note(self._run_exporter())
            self._ended.wait(RESTART_BACKOFF.pause_after(self._failures))
            self._failures += 1

    def _note(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem and not self._ended.is_set():
            log.error("Metrics cannot be served; it is tried again.", extra={"why": problem})
        self._problem = problem

    def _run_exporter(self) -> str | None:
        """Run the process to its end; returns why it ended, ``None`` where it had served."""
        try:
            with open_socket(self._address) as listening:
                channel, other_end = socket.socketpair()
                with channel:
                    with other_end:
                        process = _start(listening, other_end)
                    listening.close()
                    return self._serve(channel, process)
        except OSError as error:
            return f"{self._address}: {error.strerror}."

    def _serve(self, channel: socket.socket, process: subprocess.Popen[bytes]) -> str | None:
        self._channel = channel
        has_served = False
        try:
            while not self._ended.is_set() and read_line(channel, MAX_QUESTION_BYTES):
                channel.sendall(json.dumps(self._ask_main_thread()).encode() + b"\n")
                has_served, self._failures = True, 0
        except OSError as error:
            return f"its process cannot be spoken to: {error.strerror}."
        finally:
            self._channel = None
            channel.close()
            code = _reap(process)
        return None if has_served else f"its process ended with exit code {code}."

    def _ask_main_thread(self) -> dict[str, Any]:
        reply: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._events.put(ControlRequest({"command": "metrics"}, reply))
        try:
            return reply.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            return {"ok": False, "error": f"The agent did not answer within {ANSWER_SECONDS:g} s."}


def exporter_link(config: MetricsConfig, events: EventQueue) -> ExporterLink | None:
    """Return the thread for what ``launchd.metrics`` says, not started yet; ``None`` where nothing is to be served."""
    if config.listen is None:
        return None
    if find_spec(LIBRARY) is None:
        log.error(
            "Metrics are not served: Prometheus' library for Python is not installed (requirements/metrics.lock).",
            extra={"package": LIBRARY},
        )
        return None
    return ExporterLink(config.listen, events)


def _start(listening: socket.socket, channel: socket.socket) -> subprocess.Popen[bytes]:
    descriptor = listening.fileno()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", EXPORTER_MODULE, str(descriptor)],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        env={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        cwd="/",
    )


def _reap(process: subprocess.Popen[bytes]) -> int:
    """Return the exit code of the process, which leaves when its channel is closed."""
    try:
        return process.wait(LEAVE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
