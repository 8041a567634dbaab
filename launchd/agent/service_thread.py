"""A thread that keeps one process which serves all jobs: it starts it, hears it, and replaces it when it hangs or dies.

It decides nothing: what the process says goes to the main thread.
"""

import contextlib
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from typing import Generic, Protocol, TypeVar

from ipc.bootstrap import ChildEnd, spawn_worker
from launchd.agent.backoff import Backoff

#: Pauses before another process is started, in seconds: from the second failure in a row on they grow.
RESTART_BACKOFF = Backoff(1.0, 60.0)

#: How long a killed process may take to be gone, in seconds.
KILL_SECONDS = 5.0


class Closable(Protocol):
    """Something with descriptors."""

    def close(self) -> None:
        """Give them back."""
        ...


class OpenEnd(ChildEnd, Closable, Protocol):
    """The side of the process."""


P = TypeVar("P", bound=Closable)


class ServiceThread(threading.Thread, ABC, Generic[P]):
    """Started once. :meth:`wake` and :meth:`end` are called from the main thread; the rest is the thread's.

    ``name`` is the thread's, ``what`` is what sentences call the process; ``path`` names what it runs, as
    ``"package.module:function"``.
    """

    def __init__(self, name: str, what: str, path: str) -> None:
        super().__init__(name=name, daemon=True)
        self._what = what
        self._path = path
        self._ended = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._failures = 0

    @abstractmethod
    def open_pipes(self) -> tuple[P, OpenEnd]:
        """Return both sides of new pipes to the next process; the other side is its own."""

    @abstractmethod
    def converse(self, peer: P) -> str | None:
        """Hear the process until it has to be replaced; returns why, as a sentence, None where all is to end.

        It looks at :attr:`is_to_end` whenever ``self._wake`` is readable, and calls :meth:`note_success` now and then.
        """

    @abstractmethod
    def on_failure(self, why: str) -> None:
        """Tell the main thread that the process is gone, or could not be started."""

    def on_lingering(self) -> bool:
        """Return whether to go on waiting for a killed process that is not gone; asked every few seconds."""
        return False

    @property
    def is_to_end(self) -> bool:
        """Whether process and thread are to end."""
        return self._ended.is_set()

    def wake(self) -> None:
        """Have :meth:`converse` look up."""
        os.eventfd_write(self._wake, 1)

    def end(self) -> None:
        """Have process and thread end."""
        self._ended.set()
        self.wake()

    def note_success(self) -> None:
        """Start the next process without a pause: this one works."""
        self._failures = 0

    def clear_wake(self) -> None:
        """Take note of what :meth:`wake` was called for."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def run(self) -> None:
        """Keep a process until told to end."""
        while not self.is_to_end:
            why = self._run_process()
            if why is None:
                return
            self.on_failure(why)
            self._ended.wait(RESTART_BACKOFF.pause_after(self._failures))
            self._failures += 1

    def _run_process(self) -> str | None:
        """Run one process to its end; returns why it ended, ``None`` where it was told to."""
        try:
            peer, end = self.open_pipes()
            with contextlib.closing(peer):
                with contextlib.closing(end):
                    process = spawn_worker(self._path, end)
                with _opened(process) as pidfd:
                    try:
                        return self.converse(peer)
                    finally:
                        self._get_rid_of(process, pidfd)
        except Exception as error:  # noqa: BLE001 (without this thread there would never be another process)
            return f"{self._what} could not be started: {type(error).__name__}: {error}."

    def _get_rid_of(self, process: ForkServerProcess, pidfd: int | None) -> None:
        """Kill a process and wait until it is gone."""
        if pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            # Its sentinel alone would be ready at the end of the fork server as well.
            while not connection.wait([pidfd], KILL_SECONDS):
                if self.is_to_end or not self.on_lingering():
                    return
        if connection.wait([process.sentinel], KILL_SECONDS):
            process.join()
            process.close()


@contextlib.contextmanager
def _opened(process: ForkServerProcess) -> Iterator[int | None]:
    """The descriptor of a process that was started just now, None where it is gone already."""
    try:
        pidfd = None if process.pid is None else os.pidfd_open(process.pid)
    except ProcessLookupError:
        pidfd = None
    try:
        yield pidfd
    finally:
        if pidfd is not None:
            os.close(pidfd)
