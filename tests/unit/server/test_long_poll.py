"""A request that waits: what it asks the database for, and when."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from starlette.requests import Request

from launchd.server.context import Context
from launchd.server.http.disconnect import DisconnectWatch
from launchd.server.notifier import Notifier
from launchd.server.resolvers.long_poll import wait_for


def waiting_context(notifier: Notifier) -> Context:
    """A context of a client that stays."""

    async def receive() -> Any:
        await asyncio.Event().wait()

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    app = SimpleNamespace(notifier=notifier, settings=SimpleNamespace(max_wait_seconds=30.0))
    return cast(Context, SimpleNamespace(app=app, request=request))


def polls_until(end: str) -> int:
    """Return how often a waiting request asked, which was woken once, and then ended in this way."""
    notifier = Notifier()
    polls = 0
    asked = asyncio.Event()

    async def poll(_: DisconnectWatch) -> list[str]:
        nonlocal polls
        polls += 1
        asked.set()
        return ["found"] if end == "an answer" and polls == 3 else []

    async def run() -> None:
        waiting = asyncio.ensure_future(wait_for(waiting_context(notifier), ["queue"], 20.0, poll, bool))
        for wake in (notifier.notify_everyone, notifier.close if end == "a stop" else notifier.notify_everyone):
            await asked.wait()
            asked.clear()
            # It waits after it has asked.
            await asyncio.sleep(0.05)
            wake()
        assert await asyncio.wait_for(waiting, 5) == (["found"] if end == "an answer" else [])

    asyncio.run(run())
    return polls


def test_each_wake_asks_once_more() -> None:
    assert polls_until("an answer") == 3


def test_a_server_that_stops_asks_no_more() -> None:
    assert polls_until("a stop") == 2
