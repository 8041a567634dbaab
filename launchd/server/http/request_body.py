"""Reading request bodies, with limits on size and time."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request

from launchd.server.errors import Refused, TooSlow

_LONGEST_NUMBER = 18


async def read_body(request: Request, limit: int, timeout_seconds: float) -> bytes:
    """The whole body.

    Raises:
        Refused: longer than `limit` bytes, or cut off. Status 400, not 413, which wandb 0.20 retries for days.
        TooSlow: see `iter_body`.
    """
    if (content_length(request) or 0) > limit:
        raise Refused(_too_big(limit))
    body = bytearray()
    async for chunk in iter_body(request, timeout_seconds):
        body += chunk
        if len(body) > limit:
            raise Refused(_too_big(limit))
    return bytes(body)


async def iter_body(request: Request, timeout_seconds: float) -> AsyncIterator[bytes]:
    """The body, chunk by chunk.

    A sender whose machine or network fails sends nothing more and does not close the connection either: the part that
    was received, and the space it takes, must not be kept forever.

    Raises:
        Refused: the sender closed the connection before the end.
        TooSlow: nothing arrived for `timeout_seconds`.
    """
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(timeout_seconds):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect as error:
            raise Refused("The request ended before its body did; nothing of it was kept.") from error
        except TimeoutError as error:
            raise TooSlow(
                f"Nothing more of the request came for {timeout_seconds:g} s; nothing of it was kept."
            ) from error
        yield chunk


def content_length(request: Request) -> int | None:
    """Size of the body in bytes as announced by the request; None without an announcement."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) <= _LONGEST_NUMBER else None


def _too_big(limit: int) -> str:
    return f"The request is bigger than {limit} bytes, the most this server takes."
