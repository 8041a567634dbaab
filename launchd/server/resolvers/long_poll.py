"""Long polling: requests that wait for work or for stop requests."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from launchd.server.context import Context
from launchd.server.http.disconnect import DisconnectWatch, watch_disconnect

T = TypeVar("T")


async def wait_for(
    context: Context,
    topics: Iterable[str],
    seconds: float,
    poll: Callable[[DisconnectWatch], Awaitable[T]],
    is_answer: Callable[[T], bool],
) -> T:
    """Call `poll` at once, and again whenever one of the topics is notified, until it returns an answer.

    Returns its last result when the time is over, the server stops or the client disconnects. `seconds` is limited by
    the server's `max_wait_seconds`.
    """
    notifier = context.app.notifier
    limit = min(max(0.0, seconds), context.app.settings.max_wait_seconds)
    deadline = asyncio.get_running_loop().time() + limit
    with notifier.waiter(topics) as waiter:
        async with watch_disconnect(context.request, waiter.notify) as watch:
            while True:
                waiter.clear()
                found = await poll(watch)
                if is_answer(found) or watch.gone or notifier.closed:
                    return found
                # A server that stops asks the database no more, whose disk may be slow, and hands nothing out.
                if not await waiter.notified_before(deadline) or notifier.closed:
                    return found
