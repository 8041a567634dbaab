"""The thread that keeps the process which watches a kind of target for all workers.

It replaces one that hangs or dies, and decides nothing: what the process tells goes to the main thread.
"""

import contextlib
import logging
import os
import select
import signal
import threading
import time
from collections import deque
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess

import msgspec

from ipc.bootstrap import spawn_worker
from ipc.watch_service import (
    Asked,
    ForgetScope,
    WatcherLives,
    WatcherPeer,
    WatchScope,
    WatchSettings,
    open_pipes,
)
from launchd.agent.backoff import Backoff
from launchd.agent.events import EventQueue, WatcherEnded, WatcherReported

#: Pauses before another process is started, in seconds: from the second failure in a row on they grow.
RESTART_BACKOFF = Backoff(1.0, 60.0)

#: How long a killed process may take to be gone, in seconds.
KILL_SECONDS = 5.0

log = logging.getLogger(__name__)


class WatchLink(threading.Thread):
    """Started once, for the target ``resource``. :meth:`set_scopes` and :meth:`end` are called from the main thread."""

    def __init__(
        self, resource: str, path: str, events: EventQueue, heartbeat_seconds: float, silence_seconds: float
    ) -> None:
        super().__init__(name="watch", daemon=True)
        self._resource = resource
        self._path = path
        self._events = events
        self._settings = WatchSettings(heartbeat_seconds)
        self._silence = silence_seconds
        self._ended = threading.Event()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._scopes: frozenset[str] = frozenset()
        self._failures = 0

    def set_scopes(self, scopes: frozenset[str]) -> None:
        """Have ``scopes`` watched, and nothing else."""
        self._scopes = scopes
        os.eventfd_write(self._wake, 1)

    def end(self) -> None:
        """Have process and thread end."""
        self._ended.set()
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        """Keep a process until told to end."""
        while not self._ended.is_set():
            why = self._run_process()
            if why is None:
                return
            log.warning(
                "What watches the workloads of all jobs ended; it is started anew.",
                extra={"resource": self._resource, "why": why},
            )
            self._events.put(WatcherEnded(self._resource))
            self._ended.wait(RESTART_BACKOFF.pause_after(self._failures))
            self._failures += 1

    def _run_process(self) -> str | None:
        """Run one process to its end; returns why it ended, ``None`` where it was told to."""
        peer, end = open_pipes(self._settings)
        try:
            try:
                process = spawn_worker(self._path, end)
            finally:
                end.close()
            try:
                return self._converse(peer)
            finally:
                _get_rid_of(process)
        except Exception as error:  # noqa: BLE001 (without this thread no change would be told any more)
            return f"It could not be started: {type(error).__name__}: {error}."
        finally:
            peer.close()

    def _converse(self, peer: WatcherPeer) -> str | None:
        asked: set[str] = set()
        owed: deque[Asked] = deque()
        heard_at = time.monotonic()
        while not self._ended.is_set():
            owed.extend(_changes(asked, self._scopes))
            left = heard_at + self._silence - time.monotonic()
            ready = _wait(peer, self._wake, bool(owed), max(0.0, left))
            if peer.fileno() in ready:
                why = self._take(peer)
                if why is not None:
                    return why
                heard_at = time.monotonic()
            elif left <= 0:
                return f"It has said nothing for {self._silence:g} s."
            if peer.asks_fileno in ready:
                peer.ask(owed.popleft())
            if self._wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
        return None

    def _take(self, peer: WatcherPeer) -> str | None:
        """Pass on what the process tells; returns why it cannot go on, if so."""
        try:
            told = peer.hear()
        except (EOFError, OSError):
            return "It died."
        except msgspec.DecodeError as error:
            return f"It cannot be understood: {error}."
        self._failures = 0
        match told:
            case WatcherLives():
                pass
            case _:
                self._events.put(WatcherReported(self._resource, told))
        return None


def _changes(asked: set[str], wanted: frozenset[str]) -> list[Asked]:
    """Return what makes of the scopes that were ``asked`` for those that are ``wanted``; from now on these are."""
    changes: list[Asked] = [*map(WatchScope, wanted - asked), *map(ForgetScope, asked - wanted)]
    asked.clear()
    asked.update(wanted)
    return changes


def _wait(peer: WatcherPeer, wake: int, has_to_ask: bool, seconds: float) -> set[int]:
    """Return which descriptors are ready, after ``seconds`` at most; one that is closed is ready."""
    poll = select.poll()
    for descriptor in (peer.fileno(), wake):
        poll.register(descriptor, select.POLLIN)
    if has_to_ask:
        # A pipe that is writable takes a message in one piece: asking never waits for a process that hangs.
        poll.register(peer.asks_fileno, select.POLLOUT)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


def _get_rid_of(process: ForkServerProcess) -> None:
    """Kill a process; its sentinel alone says nothing, for it fires with the fork server's end as well."""
    if process.pid is None:
        return
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        pidfd = None
    if pidfd is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    if connection.wait([process.sentinel], KILL_SECONDS):
        process.join()
        process.close()
