"""Reading request bodies, with limits on size, time, and what all that are not whole yet take of the memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from launchd.server.errors import Refused, TooSlow

LEAST_BYTES_PER_SECOND = 8 * 1024
"""What arrives more slowly, as a whole, uses up the time that a body may stall."""

_LONGEST_NUMBER = 18


class _Body:
    """A body that is not whole yet: how much of it there is, and the wait for more."""

    def __init__(self) -> None:
        self.size = 0
        self.wait: asyncio.Timeout | None = None
        self.was_let_go = False

    def let_go(self) -> None:
        """End the wait for more, which fails."""
        self.was_let_go = True
        if self.wait is not None and not self.wait.expired():
            self.wait.reschedule(0.0)


class RequestBodies:
    """The bodies of all requests of one server. One event loop's.

    A sender whose machine or network fails sends nothing more and does not close the connection either, and one with
    bad intent sends a byte now and then: the part that was received, and the space it takes, must not be kept forever.
    """

    def __init__(self, timeout_seconds: float, most_bytes: int) -> None:
        """`timeout_seconds`: how long a body may stall; `most_bytes`: of all in memory that are not whole yet."""
        self._timeout_seconds = timeout_seconds
        self._most_bytes = most_bytes
        #: Those in memory, in the order in which they began.
        self._unfinished: dict[_Body, None] = {}
        self._used = 0

    async def read(self, request: Request, limit: int) -> bytes:
        """The whole body.

        Raises:
            Refused: longer than `limit` bytes, or cut off. Status 400, not 413, which wandb 0.20 retries for days.
            TooSlow: see `pieces`; or it took the longest when there was no more room.
        """
        content = bytearray()
        with self._counted() as body:
            async for piece in self._limited(request, limit, body):
                content += piece
                self._count(body, len(piece))
        return bytes(content)

    async def discard(self, request: Request, limit: int) -> None:
        """Read the whole body and keep nothing of it; raises as `read`."""
        async for _ in self._limited(request, limit, _Body()):
            pass

    def pieces(self, request: Request) -> AsyncIterator[bytes]:
        """The body, piece by piece, of any length.

        Raises:
            Refused: the sender closed the connection before the end.
            TooSlow: nothing arrived for too long, or too little for much longer.
        """
        return self._pieces(request, _Body())

    async def _limited(self, request: Request, limit: int, body: _Body) -> AsyncIterator[bytes]:
        if (content_length(request) or 0) > limit:
            raise Refused(_too_big(limit))
        size = 0
        async for piece in self._pieces(request, body):
            size += len(piece)
            if size > limit:
                raise Refused(_too_big(limit))
            yield piece

    async def _pieces(self, request: Request, body: _Body) -> AsyncIterator[bytes]:
        loop, stream = asyncio.get_running_loop(), request.stream()
        # Of the waiting alone: how long this server takes over a piece is not the sender's doing.
        allowed = self._timeout_seconds
        while not body.was_let_go:
            begun = loop.time()
            try:
                async with asyncio.timeout(min(self._timeout_seconds, allowed)) as body.wait:
                    piece = await anext(stream)
            except StopAsyncIteration:
                return
            except ClientDisconnect as error:
                raise Refused("The request ended before its body did; nothing of it was kept.") from error
            except TimeoutError:
                break
            finally:
                body.wait = None
            allowed += len(piece) / LEAST_BYTES_PER_SECOND - (loop.time() - begun)
            yield piece
        raise self._too_slow(body)

    def _too_slow(self, body: _Body) -> TooSlow:
        if body.was_let_go:
            return TooSlow(
                "The server has no room for more requests at once, and this one took the longest: repeat it."
            )
        return TooSlow(
            f"Nothing more of the request came for {self._timeout_seconds:g} s, or too little; nothing of it was kept."
        )

    # -- memory

    @contextmanager
    def _counted(self) -> Iterator[_Body]:
        body = _Body()
        self._unfinished[body] = None
        try:
            yield body
        finally:
            del self._unfinished[body]
            self._used -= body.size

    def _count(self, body: _Body, size: int) -> None:
        """Count `size` more bytes of a body; where that is too much, those that have taken the longest go."""
        body.size += size
        self._used += size
        over = self._used - self._most_bytes
        if over > 0:
            for oldest in self._unfinished:
                if over > 0:
                    oldest.let_go()
                    over -= oldest.size


def content_length(request: Request) -> int | None:
    """Size of the body in bytes as announced by the request; None without an announcement."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) <= _LONGEST_NUMBER else None


def _too_big(limit: int) -> str:
    return f"The request is bigger than {limit} bytes, the most this server takes."
