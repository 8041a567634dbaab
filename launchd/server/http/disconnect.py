"""Detection of clients that disconnect while their request waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request

_TURNS = 5
"""Turns of the event loop between the end of a connection and `gone`: socket, protocol, application and watch."""


class DisconnectWatch:
    """`gone` becomes true when the client's connection ends; any thread may read it."""

    def __init__(self) -> None:
        self.gone = False

    async def has_gone(self) -> bool:
        """As `gone`, after the event loop has read what the sockets hold by now."""
        for _ in range(_TURNS):
            if self.gone:
                break
            await asyncio.sleep(0)
        return self.gone


@asynccontextmanager
async def watch_disconnect(request: Request, on_gone: Callable[[], None]) -> AsyncIterator[DisconnectWatch]:
    """Watch the client's connection while inside. The body of the request must have been read."""
    watch = DisconnectWatch()
    task = asyncio.create_task(_watch(request, watch, on_gone))
    try:
        yield watch
    finally:
        task.cancel()


async def _watch(request: Request, watch: DisconnectWatch, on_gone: Callable[[], None]) -> None:
    message = await request.receive()
    while message["type"] != "http.disconnect":
        message = await request.receive()
    watch.gone = True
    on_gone()
