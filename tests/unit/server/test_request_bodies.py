"""Bodies that are not whole yet: what they take together is bounded, and the oldest make way."""

import asyncio
from collections.abc import Awaitable

import pytest
from starlette.requests import Request
from starlette.types import Message

from launchd.server.errors import TooSlow
from launchd.server.http.request_body import RequestBodies

LIMIT = 1000


class Sender:
    """A request whose body comes as the test says."""

    def __init__(self, bodies: RequestBodies) -> None:
        self._pieces: asyncio.Queue[Message] = asyncio.Queue()
        request = Request({"type": "http", "headers": []}, self._pieces.get)
        self.body: Awaitable[bytes] = asyncio.create_task(bodies.read(request, LIMIT))

    async def send(self, size: int, *, is_last: bool = False) -> None:
        self._pieces.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": not is_last})
        for _ in range(10):  # Until it has been read.
            await asyncio.sleep(0)


def test_those_that_began_first_make_way() -> None:
    async def run() -> None:
        bodies = RequestBodies(60.0, 100)
        first, second, third = (Sender(bodies) for _ in range(3))
        for sender in (third, second, first):
            await sender.send(40)
        with pytest.raises(TooSlow, match="took the longest"):
            await first.body
        await second.send(10)
        await third.send(10, is_last=True)
        await second.send(10, is_last=True)
        assert (len(await second.body), len(await third.body)) == (60, 50)
        assert (bodies._used, bodies._unfinished) == (0, {})

    asyncio.run(run())


def test_one_alone_makes_way_for_none() -> None:
    async def run() -> None:
        bodies = RequestBodies(60.0, 100)
        alone = Sender(bodies)
        await alone.send(100, is_last=True)
        assert len(await alone.body) == 100

    asyncio.run(run())
