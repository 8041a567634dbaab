"""Whether the client of a request that waits is still there. Owns the watch on its connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request

_TURNS = 5
"""Of the event loop, from the end of a connection to `gone`: read it, tell the protocol, the application, the watch."""


class DisconnectWatch:
    """`gone` turns true when the client's connection ends; it may be read from any thread."""

    def __init__(self) -> None:
        self.gone = False

    async def has_gone(self) -> bool:
        """As `gone`, after the event loop has read what the sockets have to say by now."""
        for _ in range(_TURNS):
            if self.gone:
                break
            await asyncio.sleep(0)
        return self.gone


@asynccontextmanager
async def watch_disconnect(request: Request, on_gone: Callable[[], None]) -> AsyncIterator[DisconnectWatch]:
    """Watch the connection while inside. The request's body must have been read."""
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
