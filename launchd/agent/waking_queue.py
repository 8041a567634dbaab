"""A queue whose reader waits for it with ``select``, among other things."""

import contextlib
import os
from collections import deque
from typing import Generic, TypeVar

from ipc.owned_pipe import owned_pipe

T = TypeVar("T")


class WakingQueue(Generic[T]):
    """Values for one thread; ``put`` and ``wake`` may be called from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._values: deque[T] = deque()
        self._reader, self._writer = owned_pipe(self)

    def put(self, value: T) -> None:
        """Add ``value`` and wake the reader."""
        self._values.append(value)
        self.wake()

    def wake(self) -> None:
        """Wake the reader."""
        with contextlib.suppress(BlockingIOError):  # The pipe is full of wake-ups already.
            os.write(self._writer, b".")

    def take_all(self) -> list[T]:
        """Return the values since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        values = []
        while self._values:
            values.append(self._values.popleft())
        return values

    def fileno(self) -> int:
        """Return the descriptor that is readable while there are values."""
        return self._reader
