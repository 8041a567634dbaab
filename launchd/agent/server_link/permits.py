"""Permits to claim items: how many more the main thread has slots for.

The main thread grants permits for the slots that it counts as free. A poller takes one for each item that it claimed,
before it hands the items over. An item that was handed over and that the main thread has not counted yet is subtracted
from the next grant, so no grant, however late, gives a slot away twice.
"""

import threading

from launchd.agent.server_link.retry import Stopped


class SlotPermits:
    """The permits for one kind of slot. Any thread may call.

    They outlive a registration: a poller that was told to stop takes none any more, and what it took before counts.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._permits = 0
        self._uncounted = 0

    def grant(self, free_slots: int) -> None:
        """Set the permits by the slots that the main thread counts as free."""
        with self._changed:
            permits = max(0, free_slots - self._uncounted)
            if permits != self._permits:
                self._permits = permits
                self._changed.notify_all()

    def count(self, items: int) -> None:
        """Note that the main thread has counted this many claimed items; the next grant is without their slots."""
        with self._changed:
            self._uncounted -= items

    def take(self, items: int, stopped: threading.Event) -> int:
        """Take a permit for each of ``items`` claimed items; returns for how many there was one.

        There is none once ``stopped`` is set, and there may be fewer than before the claim, when slots have gone.
        """
        with self._changed:
            taken = 0 if stopped.is_set() else min(items, self._permits)
            self._permits -= taken
            self._uncounted += taken
            return taken

    def wait(self, stopped: threading.Event) -> int:
        """Wait for permits and return how many there are.

        Raises:
            Stopped: ``stopped`` was set meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: stopped.is_set() or self._permits > 0)
            if stopped.is_set():
                raise Stopped
            return self._permits

    def wait_for_more(self, than: int, seconds: float, stopped: threading.Event) -> bool:
        """Wait at most ``seconds`` for more than ``than`` permits; returns whether there are, or ``stopped`` is set."""
        with self._changed:
            return self._changed.wait_for(lambda: stopped.is_set() or self._permits > than, seconds)

    def wake(self) -> None:
        """Let all that wait look at their ``stopped`` event."""
        with self._changed:
            self._changed.notify_all()
