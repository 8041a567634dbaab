"""Who waits for what, in this process. Owns the bells; carries no data: whoever is woken looks into the store again.

Where several servers share a store, `wake_one` and `wake_all` tell the others too; `ring_one` and `ring_all` do not.

Topics are of two kinds. Work, by queue: any one who waits can take it, so one is woken, the longest waiting first;
with a hundred hosts on a queue, waking all for each item would cost more than the item. Whoever leaves, with work or
without, wakes the next, so that no wake-up is lost on somebody who did not look or could not take everything.
Orders, by agent: all who wait are woken.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager


def work_topic(queue_id: str, *, scheduler: bool) -> str:
    """What those wait for who can take items of this kind from this queue."""
    return f"{queue_id}/{'scheduler' if scheduler else 'item'}"


def work_topics(queue_ids: Iterable[str]) -> list[str]:
    """Both kinds of work of these queues."""
    return [work_topic(queue_id, scheduler=kind) for queue_id in queue_ids for kind in (False, True)]


class Bell:
    """Rung when one of its topics changes, when its client has gone, or when the server stops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_rung(self) -> bool:
        """Somebody rang since the last `silence`."""
        return self._event.is_set()

    def ring(self) -> None:
        """Wake who waits, or will."""
        self._event.set()

    def silence(self) -> None:
        """Forget earlier rings. Whoever looks must do so after this."""
        self._event.clear()

    async def rung_before(self, deadline: float) -> bool:
        """Wait until it rings; False at `deadline` (the loop's clock)."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Wakeups:
    """All bells, by topic. Used on the event loop only."""

    def __init__(self) -> None:
        self.closed = False
        self.tell: Callable[[Sequence[str], bool], None] | None = None
        """Tells other servers the topics, and whether all who wait for one of them are to be woken."""
        # A dict keeps the order of arrival.
        self._bells: defaultdict[str, dict[Bell, None]] = defaultdict(dict)

    @contextmanager
    def bell(self, topics: Iterable[str]) -> Iterator[Bell]:
        """A bell that hears these topics while inside; on leaving, the next who waits for one of them is woken."""
        bell, names = Bell(), set(topics)
        for name in names:
            self._bells[name][bell] = None
        try:
            yield bell
        finally:
            for name in names:
                self._remove(name, bell)
            self.ring_one(names)

    def wake_one(self, topics: Iterable[str]) -> None:
        """For each topic, wake the longest waiting of those who have not been woken already; on each server one."""
        names = list(topics)
        self.ring_one(names)
        self._tell_others(names, everybody=False)

    def wake_all(self, topics: Iterable[str]) -> None:
        """Wake everybody who waits for one of these, on every server."""
        names = list(topics)
        self.ring_all(names)
        self._tell_others(names, everybody=True)

    def ring_one(self, topics: Iterable[str]) -> None:
        """As `wake_one`, here alone."""
        for name in topics:
            for bell in self._bells.get(name, ()):
                if not bell.is_rung:
                    bell.ring()
                    break

    def ring_all(self, topics: Iterable[str]) -> None:
        """As `wake_all`, here alone."""
        for name in topics:
            for bell in self._bells.get(name, ()):
                bell.ring()

    def ring_everybody(self) -> None:
        """Wake all who wait here, whatever for."""
        self.ring_all(list(self._bells))

    def close(self) -> None:
        """Wake all, for good: the server stops."""
        self.closed = True
        self.ring_everybody()

    def _tell_others(self, topics: Sequence[str], *, everybody: bool) -> None:
        if self.tell is not None and topics:
            self.tell(topics, everybody)

    def _remove(self, name: str, bell: Bell) -> None:
        bells = self._bells[name]
        del bells[bell]
        if not bells:
            del self._bells[name]
