"""The event queue of an agent without its main thread: keeps what the threads under test reported."""

from typing import TypeVar

from launchd.agent.events import Event, EventQueue
from tests.support.waiting import wait_until

T = TypeVar("T")


class RecordedEvents:
    """All events so far."""

    def __init__(self) -> None:
        self.queue = EventQueue()
        self._seen: list[Event] = []

    def of(self, kind: type[T]) -> list[T]:
        """Return the events of a kind so far, in order."""
        self._seen += self.queue.take_all()
        return [event for event in self._seen if isinstance(event, kind)]

    def wait_for(self, kind: type[T], count: int = 1, timeout: float = 10.0) -> list[T]:
        """Wait for ``count`` events of a kind; returns all of that kind."""
        wait_until(lambda: len(self.of(kind)) >= count, timeout, f"{count} events {kind.__name__}")
        return self.of(kind)
