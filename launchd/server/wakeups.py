"""Who waits for what, in this process. Owns the bells; carries no data: whoever is woken looks into the store again."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Bell:
    """Rung when one of its topics changes, when its client has gone, or when the server stops."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or will."""
        self._event.set()

    def silence(self) -> None:
        """Forget earlier rings."""
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
    """All bells, by topic: the id of a queue (work came) or of an agent (orders came). Used on the event loop only."""

    def __init__(self) -> None:
        self.closed = False
        self._bells: defaultdict[str, set[Bell]] = defaultdict(set)

    @contextmanager
    def bell(self, topics: Iterable[str]) -> Iterator[Bell]:
        """A bell that hears these topics while inside."""
        bell, names = Bell(), set(topics)
        for name in names:
            self._bells[name].add(bell)
        try:
            yield bell
        finally:
            for name in names:
                self._remove(name, bell)

    def notify(self, topics: Iterable[str]) -> None:
        """Wake everybody who waits for one of these."""
        for name in topics:
            for bell in self._bells.get(name, ()):
                bell.ring()

    def close(self) -> None:
        """Wake all, for good: the server stops."""
        self.closed = True
        self.notify(list(self._bells))

    def _remove(self, name: str, bell: Bell) -> None:
        bells = self._bells[name]
        bells.discard(bell)
        if not bells:
            del self._bells[name]
