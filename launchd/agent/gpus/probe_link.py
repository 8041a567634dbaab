"""The thread that keeps a probe of the GPUs, hears it, and replaces one that hangs or has died.

It decides nothing about GPUs: what the probe says goes to the main thread.
"""

import time
from multiprocessing import connection

import msgspec

from ipc.gpu_probe import GpuSample, ProbeEnd, ProbeFailed, ProbePeer, ProbeSettings, open_pipes
from launchd.agent.events import EventQueue, GpuProbeFailed, GpusSeen
from launchd.agent.service_thread import ServiceThread

PROBE_TARGET = "workers.gpus.probe:main"


class ProbeLink(ServiceThread[ProbePeer]):
    """Started once. :meth:`ask` and :meth:`end` are called from the main thread."""

    def __init__(self, events: EventQueue, settings: ProbeSettings, timeout_seconds: float) -> None:
        super().__init__("gpu probe", "The probe of the GPUs", PROBE_TARGET)
        self._events = events
        self._settings = settings
        self._timeout = timeout_seconds
        self._question = 0

    def ask(self) -> int:
        """Have the probe look at once; returns the number of the question, which an answer will name."""
        self._question += 1
        self.wake()
        return self._question

    def open_pipes(self) -> tuple[ProbePeer, ProbeEnd]:
        """Return both sides of the pipes of a probe."""
        return open_pipes(self._settings)

    def on_failure(self, why: str) -> None:
        """Say that nothing is known of the GPUs."""
        self._events.put(GpuProbeFailed(why))

    def on_lingering(self) -> bool:
        """Wait for a killed probe: two would ask a hanging driver."""
        self._events.put(GpuProbeFailed("The probe of the GPUs hangs in their driver, and cannot be killed."))
        return True

    def converse(self, peer: ProbePeer) -> str | None:
        """Pass on what the probe says."""
        asked, deadline = 0, time.monotonic() + self._settings.seconds + self._timeout
        while not self.is_to_end:
            if asked != self._question:
                asked = self._question
                peer.ask(asked)
            ready = connection.wait([peer.fileno(), self._wake], max(0.0, deadline - time.monotonic()))
            if not ready:
                return f"The driver of the GPUs has not answered for {self._timeout:g} s."
            if self._wake in ready:
                self.clear_wake()
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
                self.note_success()
                self._events.put(GpusSeen(said))
                return None
            case ProbeFailed(why):
                return why
