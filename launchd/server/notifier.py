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


class Waiter:
    """Rung when one of its topics changes, when its client has gone, or when the server stops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_notified(self) -> bool:
        """Somebody rang since the last `silence`."""
        return self._event.is_set()

    def notify(self) -> None:
        """Wake who waits, or will."""
        self._event.set()

    def clear(self) -> None:
        """Forget earlier rings. Whoever looks must do so after this."""
        self._event.clear()

    async def notified_before(self, deadline: float) -> bool:
        """Wait until it rings; False at `deadline` (the loop's clock)."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Notifier:
    """All bells, by topic. Used on the event loop only."""

    def __init__(self) -> None:
        self.closed = False
        self.publish: Callable[[Sequence[str], bool], None] | None = None
        """Tells other servers the topics, and whether all who wait for one of them are to be woken."""
        # A dict keeps the order of arrival.
        self._waiters: defaultdict[str, dict[Waiter, None]] = defaultdict(dict)

    @contextmanager
    def waiter(self, topics: Iterable[str]) -> Iterator[Waiter]:
        """A bell that hears these topics while inside; on leaving, the next who waits for one of them is woken."""
        waiter, names = Waiter(), set(topics)
        for name in names:
            self._waiters[name][waiter] = None
        try:
            yield waiter
        finally:
            for name in names:
                self._remove(name, waiter)
            self.notify_local_one(names)

    def wake_one(self, topics: Iterable[str]) -> None:
        """For each topic, wake the longest waiting of those who have not been woken already; on each server one."""
        names = list(topics)
        self.notify_local_one(names)
        self._publish(names, everyone=False)

    def wake_all(self, topics: Iterable[str]) -> None:
        """Wake everybody who waits for one of these, on every server."""
        names = list(topics)
        self.notify_local_all(names)
        self._publish(names, everyone=True)

    def notify_local_one(self, topics: Iterable[str]) -> None:
        """As `wake_one`, here alone."""
        for name in topics:
            for waiter in self._waiters.get(name, ()):
                if not waiter.is_notified:
                    waiter.notify()
                    break

    def notify_local_all(self, topics: Iterable[str]) -> None:
        """As `wake_all`, here alone."""
        for name in topics:
            for waiter in self._waiters.get(name, ()):
                waiter.notify()

    def notify_everyone(self) -> None:
        """Wake all who wait here, whatever for."""
        self.notify_local_all(list(self._waiters))

    def close(self) -> None:
        """Wake all, for good: the server stops."""
        self.closed = True
        self.notify_everyone()

    def _publish(self, topics: Sequence[str], *, everyone: bool) -> None:
        if self.publish is not None and topics:
            self.publish(topics, everyone)

    def _remove(self, name: str, waiter: Waiter) -> None:
        waiters = self._waiters[name]
        del waiters[waiter]
        if not waiters:
            del self._waiters[name]
