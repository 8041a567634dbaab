"""The thread that keeps the process which watches a kind of target for all workers.

It replaces one that hangs or dies, and decides nothing: what the process tells goes to the main thread.
"""

import logging
import select
import time
from collections import deque

import msgspec

from ipc.watch_service import (
    Asked,
    ForgetScope,
    WatcherEnd,
    WatcherLives,
    WatcherPeer,
    WatchScope,
    WatchSettings,
    open_pipes,
)
from launchd.agent.events import EventQueue, WatcherEnded, WatcherReported
from launchd.agent.service_thread import ServiceThread

log = logging.getLogger(__name__)


class WatchLink(ServiceThread[WatcherPeer]):
    """Started once, for the target ``resource``. :meth:`set_scopes` and :meth:`end` are called from the main thread."""

    def __init__(
        self, resource: str, path: str, events: EventQueue, heartbeat_seconds: float, silence_seconds: float
    ) -> None:
        super().__init__("watch", "The watch", path)
        self._resource = resource
        self._events = events
        self._settings = WatchSettings(heartbeat_seconds)
        self._silence = silence_seconds
        self._scopes: frozenset[str] = frozenset()

    def set_scopes(self, scopes: frozenset[str]) -> None:
        """Have ``scopes`` watched, and nothing else."""
        self._scopes = scopes
        self.wake()

    def open_pipes(self) -> tuple[WatcherPeer, WatcherEnd]:
        """Return both sides of the pipes of a process that watches."""
        return open_pipes(self._settings)

    def on_failure(self, why: str) -> None:
        """Say that nothing watches until the next process does."""
        log.warning(
            "What watches the workloads of all jobs ended; it is started anew.",
            extra={"resource": self._resource, "why": why},
        )
        self._events.put(WatcherEnded(self._resource))

    def converse(self, peer: WatcherPeer) -> str | None:
        """Ask for the scopes that are wanted, and pass on what is told of them."""
        asked: set[str] = set()
        owed: deque[Asked] = deque()
        heard_at = time.monotonic()
        while not self.is_to_end:
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
                self.clear_wake()
        return None

    def _take(self, peer: WatcherPeer) -> str | None:
        """Pass on what the process tells; returns why it cannot go on, if so."""
        try:
            told = peer.hear()
        except (EOFError, OSError):
            return "It died."
        except msgspec.DecodeError as error:
            return f"It cannot be understood: {error}."
        self.note_success()
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
