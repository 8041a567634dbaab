"""The thread that keeps a probe of the GPUs, hears it, and replaces one that hangs or has died.

It decides nothing about GPUs: what the probe says goes to the main thread.
"""

import contextlib
import os
import signal
import threading
import time
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess

import msgspec

from ipc.bootstrap import spawn_worker
from ipc.gpu_probe import GpuSample, ProbeFailed, ProbePeer, ProbeSettings, open_pipes
from launchd.agent.backoff import Backoff
from launchd.agent.events import EventQueue, GpuProbeFailed, GpusSeen

PROBE_TARGET = "workers.gpus.probe:main"

#: Pauses before another probe is started, in seconds: from the second failure in a row on they grow.
RESTART_BACKOFF = Backoff(1.0, 60.0)

#: How long a killed probe may take to be gone, in seconds; one that the kernel does not let go is waited for.
KILL_SECONDS = 5.0


class ProbeLink(threading.Thread):
    """Started once. :meth:`ask` and :meth:`end` are called from the main thread."""

    def __init__(self, events: EventQueue, settings: ProbeSettings, timeout_seconds: float) -> None:
        super().__init__(name="gpu probe", daemon=True)
        self._events = events
        self._settings = settings
        self._timeout = timeout_seconds
        self._ended = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._question = 0
        self._failures = 0

    def ask(self) -> int:
        """Have the probe look at once; returns the number of the question, which an answer will name."""
        self._question += 1
        os.eventfd_write(self._wake, 1)
        return self._question

    def end(self) -> None:
        """Have probe and thread end."""
        self._ended.set()
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Keep a probe until told to end."""
        while not self._ended.is_set():
            why = self._run_probe()
            if why is None:
                return
            self._events.put(GpuProbeFailed(why))
            self._ended.wait(RESTART_BACKOFF.pause_after(self._failures))
            self._failures += 1

    def _run_probe(self) -> str | None:
        """Run one probe to its end; returns why it ended, ``None`` where it was told to."""
        peer, end = open_pipes(self._settings)
        try:
            try:
                process = spawn_worker(PROBE_TARGET, end)
            finally:
                end.close()
            try:
                return self._hear(peer)
            finally:
                self._get_rid_of(process)
        except Exception as error:  # noqa: BLE001 (without this thread no GPU would be given out any more)
            return f"The probe of the GPUs could not be started: {type(error).__name__}: {error}."
        finally:
            peer.close()

    def _hear(self, peer: ProbePeer) -> str | None:
        asked, deadline = 0, time.monotonic() + self._settings.seconds + self._timeout
        while not self._ended.is_set():
            if asked != self._question:
                asked = self._question
                peer.ask(asked)
            ready = connection.wait([peer.fileno(), self._wake], max(0.0, deadline - time.monotonic()))
            if not ready:
                return f"The driver of the GPUs has not answered for {self._timeout:g} s."
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            if peer.fileno() in ready:
                why = self._take(peer)
                if why is not None:
                    return why
                deadline = time.monotonic() + self._settings.seconds + self._timeout
        return None

    def _take(self, peer: ProbePeer) -> str | None:
        """Pass on what the probe says; returns why it leaves, if it does."""
        try:
            said = peer.hear()
        except (EOFError, OSError):
            return "The probe of the GPUs has died."
        except msgspec.DecodeError as error:
            return f"The probe of the GPUs cannot be understood: {error}."
        match said:
            case GpuSample():
                self._failures = 0
                self._events.put(GpusSeen(said))
                return None
            case ProbeFailed(why):
                return why

    def _get_rid_of(self, process: ForkServerProcess) -> None:
        """Kill a probe, and wait until it is gone: two would ask a hanging driver."""
        # What has ended has no number any more.
        if process.pid is not None and not connection.wait([process.sentinel], 0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        while not connection.wait([process.sentinel], KILL_SECONDS):
            if self._ended.is_set():
                return
            self._events.put(GpuProbeFailed("The probe of the GPUs hangs in their driver, and cannot be killed."))
        process.join()
        process.close()
