"""Permits to claim items: how many more the main thread has slots for, and which GPUs it has free for them.

The main thread grants permits for the slots that it counts as free. A poller takes one for each item that it claimed,
before it hands the items over. An item that was handed over and that the main thread has not counted yet is subtracted
from the next grant, so no grant, however late, gives a slot away twice.

Which GPUs such an item will get is not known before the main thread has counted it. So on a host with GPUs there is no
permit until then, and what a claim says is free is free.
"""

import threading

from launchd.agent.server_link.retry import Stopped
from launchd.client.queue_server import AgentGpus


class SlotPermits:
    """The permits for one kind of slot. Any thread may call.

    They outlive a registration: a poller that was told to stop takes none any more, and what it took before counts.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._permits = 0
        self._uncounted = 0
        self._gpus: AgentGpus | None = None
        self._gpus_are_counted = True

    @property
    def gpus(self) -> AgentGpus | None:
        """The GPUs as the main thread has granted them last; ``None`` where the agent manages none."""
        with self._changed:
            return self._gpus

    def grant(self, free_slots: int, gpus: AgentGpus | None = None) -> None:
        """Set the permits by the slots that the main thread counts as free, and the GPUs as it counts them."""
        with self._changed:
            permits, is_counted = max(0, free_slots - self._uncounted), self._uncounted == 0
            before = (self._permits, self._gpus, self._gpus_are_counted)
            self._permits, self._gpus, self._gpus_are_counted = permits, gpus, is_counted
            if before != (permits, gpus, is_counted):
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
            self._gpus_are_counted = self._gpus_are_counted and taken == 0
            return taken

    def wait(self, stopped: threading.Event) -> int:
        """Wait for permits and return how many there are.

        Raises:
            Stopped: ``stopped`` was set meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: stopped.is_set() or self._may_claim())
            if stopped.is_set():
                raise Stopped
            return self._permits

    def wait_for_more(self, than: int, seconds: float, stopped: threading.Event) -> bool:
        """Wait at most ``seconds`` for more than ``than`` permits; returns whether there are, or ``stopped`` is set."""
        with self._changed:
            return self._changed.wait_for(lambda: stopped.is_set() or self._permits > than, seconds)

    def _may_claim(self) -> bool:
        has_gpus = self._gpus is not None and self._gpus.total > 0
        return self._permits > 0 and (self._gpus_are_counted or not has_gpus)

    def wake(self) -> None:
        """Let all that wait look at their ``stopped`` event."""
        with self._changed:
            self._changed.notify_all()
