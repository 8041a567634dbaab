"""Waking of waiting requests, by topic, within this process. Carries no data: a woken request reads the store again.

Where several servers share a store, `wake_one` and `wake_all` also notify the others; `notify_local_*` do not.

There are two kinds of topics. A work topic stands for a queue and a kind of items: any waiter can take an item, so one
is woken, the longest waiting first; with a hundred hosts on a queue, waking all of them for each item would cost more
than the item. A waiter that leaves, with an item or without, wakes the next one, so that no wake-up is lost on a waiter
that did not look or could not take everything. An item that asks for GPUs does not fit every agent, so all that wait
for such are woken: those with a GPU free. The topic of an agent is its id: all its waiters are woken.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum


class Work(StrEnum):
    """The kinds of items that are waited for apart."""

    PLAIN = "item"
    GPUS = "gpus"
    """Items that ask for GPUs."""
    SCHEDULER = "scheduler"


def work_topic(queue_id: str, kind: Work) -> str:
    """Topic of the items of this kind in a queue."""
    return f"{queue_id}/{kind}"


def work_topics(queue_ids: Iterable[str], kinds: Sequence[Work] = tuple(Work)) -> list[str]:
    """Topics of items of these queues; of all kinds, if none are named."""
    return [work_topic(queue_id, kind) for queue_id in queue_ids for kind in kinds]


class Waiter:
    """Notified when one of its topics changes, when its client disconnects, or when the server stops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    @property
    def is_notified(self) -> bool:
        """Whether it was notified since the last `clear`."""
        return self._event.is_set()

    def notify(self) -> None:
        """Wake the waiting task now, or as soon as it waits."""
        self._event.set()

    def clear(self) -> None:
        """Forget earlier notifications. The store must be read after this, not before."""
        self._event.clear()

    async def notified_before(self, deadline: float) -> bool:
        """Wait for a notification; False at `deadline` (the loop's clock)."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._event.wait()
        except TimeoutError:
            return False
        return True


class Notifier:
    """All waiters, by topic. Used on the event loop only."""

    def __init__(self) -> None:
        self.closed = False
        self.publish: Callable[[Sequence[str], bool], None] | None = None
        """Notifies other servers of the topics; the flag says whether all waiters of a topic are to be woken."""
        # A dict keeps the order of arrival.
        self._waiters: defaultdict[str, dict[Waiter, None]] = defaultdict(dict)

    @contextmanager
    def waiter(self, topics: Iterable[str]) -> Iterator[Waiter]:
        """A waiter on these topics while inside; on leaving, the next waiter of each of them is woken."""
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
        """For each topic, wake the longest waiting of those not woken yet: one on each server."""
        names = list(topics)
        self.notify_local_one(names)
        self._publish(names, everyone=False)

    def wake_all(self, topics: Iterable[str]) -> None:
        """Wake all waiters on these topics, on every server."""
        names = list(topics)
        self.notify_local_all(names)
        self._publish(names, everyone=True)

    def notify_local_one(self, topics: Iterable[str]) -> None:
        """As `wake_one`, on this server only."""
        for name in topics:
            for waiter in self._waiters.get(name, ()):
                if not waiter.is_notified:
                    waiter.notify()
                    break

    def notify_local_all(self, topics: Iterable[str]) -> None:
        """As `wake_all`, on this server only."""
        for name in topics:
            for waiter in self._waiters.get(name, ()):
                waiter.notify()

    def notify_everyone(self) -> None:
        """Wake all waiters of this server, on any topic."""
        self.notify_local_all(list(self._waiters))

    def close(self) -> None:
        """Wake all waiters for good, because the server stops."""
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
