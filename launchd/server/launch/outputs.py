"""Output on its way from agents to who looks at it: pieces are kept on disk, and lookers are woken.

Pieces never pass the database's writer. A look is noted there, once in some seconds, by which the agent learns of it,
on whichever server it waits.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from launchd.server.errors import TooManyRequests
from launchd.server.files.output_store import KeptOutput, OutputPiece, OutputStore
from launchd.server.models import Item
from launchd.server.notifier import Notifier
from launchd.server.store.database import Database
from launchd.server.store.launch import output_wishes

RENEW_SECONDS = 10.0
"""A look is noted again after so long."""
LOOKS_OF_USER = 50
"""How many looks one user may have open at a time."""
_MOST_REMEMBERED = 10_000


def topic(item_id: str) -> str:
    """The notifier's topic of an item's output."""
    return f"output/{item_id}"


class Outputs:
    """The outputs of one server. Used on its event loop."""

    def __init__(self, store: OutputStore, database: Database, notifier: Notifier) -> None:
        self._store = store
        self._database = database
        self._notifier = notifier
        self._wanted_at: dict[str, float] = {}
        self._looks: Counter[int] = Counter()

    @contextmanager
    def look(self, user_id: int) -> Iterator[None]:
        """Count a look while inside.

        Raises:
            TooManyRequests: the user has too many open.
        """
        if self._looks[user_id] >= LOOKS_OF_USER:
            raise TooManyRequests(f"You look at {LOOKS_OF_USER} outputs already: end some of them first.", 2)
        self._looks[user_id] += 1
        try:
            yield
        finally:
            self._looks[user_id] -= 1
            if not self._looks[user_id]:
                del self._looks[user_id]

    async def want(self, item: Item, agent_id: str) -> None:
        """Note that a reader looks at an item, and wake the agent that has it."""
        now = time.monotonic()
        if now - self._wanted_at.get(item.id, -RENEW_SECONDS) < RENEW_SECONDS:
            return
        if len(self._wanted_at) >= _MOST_REMEMBERED:
            self._wanted_at.clear()
        self._wanted_at[item.id] = now
        await self._database.write_guarded(lambda connection: output_wishes.want(connection, item.number))
        self._notifier.wake_all([agent_id])

    async def add(self, item_id: str, piece: OutputPiece) -> KeptOutput:
        """Keep a piece, and wake who looks."""
        kept = await asyncio.to_thread(self._store.add, item_id, piece)
        self._notifier.wake_all([topic(item_id)])
        return kept

    async def read(self, item_id: str, attempt: str, after: int, limit: int) -> tuple[KeptOutput, int, bytes]:
        """As `OutputStore.read`."""
        return await asyncio.to_thread(self._store.read, item_id, attempt, after, limit)
