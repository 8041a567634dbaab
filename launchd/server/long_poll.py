"""Requests that wait: for work, for orders. Owns the loop of looking, sleeping until a bell, and looking again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from launchd.server.context import Context
from launchd.server.disconnect import Presence, watching

T = TypeVar("T")


async def wait_for(
    context: Context,
    topics: Iterable[str],
    seconds: float,
    look: Callable[[Presence], Awaitable[T]],
    is_answer: Callable[[T], bool],
) -> T:
    """What `look` returned: an answer, or whatever it was when time ended, the server stopped or the client went.

    `seconds` is cut to the server's limit. `look` runs at once, and again whenever one of the topics is rung.
    """
    wakeups = context.services.wakeups
    limit = min(max(0.0, seconds), context.services.settings.max_wait_seconds)
    deadline = asyncio.get_running_loop().time() + limit
    with wakeups.bell(topics) as bell:
        async with watching(context.request, bell.ring) as presence:
            while True:
                bell.silence()
                found = await look(presence)
                if is_answer(found) or presence.gone or wakeups.closed:
                    return found
                if not await bell.rung_before(deadline):
                    return found
