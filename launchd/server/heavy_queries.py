"""Queries that may take long, executed apart from all others: in threads of their own, one at a time for each viewer.

Not only the store's work is done there: most of a large query's time goes into completing and encoding its answer,
which would hold the event loop.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from launchd.server.answer_budget import AnswerBudget
from launchd.server.errors import StoreUnavailable, TooManyRequests, TooSlow

T = TypeVar("T")

_THREADS = 2
_WAITING = 50
"""Queries that one viewer may have at a time, the running one included."""
_RETRY_SECONDS = 2


class HeavyQueries:
    """Runs queries, each on an event loop of its own. A viewer's queries go one after the other.

    Used on the server's event loop.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "heavy-query")
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._held: Counter[int] = Counter()
        self._answers: set[AnswerBudget] = set()
        self._stopped = False

    async def run(self, user_id: int, answer: AnswerBudget, query: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of a query of this user.

        Raises:
            TooManyRequests: too many queries of this user wait.
            TooSlow: it was not its turn in time.
            StoreUnavailable: the server stops.
        """
        async with self._turn(user_id):
            if self._stopped:
                raise StoreUnavailable("The queue server stops.")
            self._answers.add(answer)
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, _run, query)
            finally:
                self._answers.discard(answer)

    def stop(self) -> None:
        """Give up all queries: each ends as soon as it reads on."""
        self._stopped = True
        for answer in self._answers:
            answer.give_up()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def _turn(self, user_id: int) -> AsyncIterator[None]:
        if self._held[user_id] >= _WAITING:
            raise TooManyRequests(
                f"{_WAITING} of your queries that may take long (lists of runs, histories, long pages) are waiting"
                " already. They are answered one after the other: ask again when some are done.",
                _RETRY_SECONDS,
            )
        self._held[user_id] += 1
        try:
            async with self._lock_of(user_id):
                yield
        finally:
            self._held[user_id] -= 1
            if not self._held[user_id]:
                del self._held[user_id], self._turns[user_id]

    @asynccontextmanager
    async def _lock_of(self, user_id: int) -> AsyncIterator[None]:
        turn = self._turns[user_id]
        try:
            await asyncio.wait_for(turn.acquire(), self._wait_seconds)
        except TimeoutError as error:
            raise TooSlow(
                f"The query was not begun within {self._wait_seconds:g} s, because others of yours went first."
            ) from error
        try:
            yield
        finally:
            turn.release()


def _run(query: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return asyncio.run(query())
