"""Tells when a container has ended, without asking again and again."""

import os
import threading
import time
from contextlib import suppress

from ipc.errors import RunnerUnavailable
from workers.docker.engine import Engine, EngineError

#: A wait that the engine ends with an error is not asked for again at once, in seconds.
PAUSE_SECONDS = 1.0


class EndWatch:
    """A descriptor that becomes readable when a container has ended, or at a moment that was asked for.

    A thread waits at the engine, since only its connection tells; it is left behind when the worker leaves.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._descriptor: int | None = None
        self._waiter: threading.Thread | None = None
        self._timer: threading.Timer | None = None

    def watch(self, container_id: str) -> int:
        """Return the descriptor, having seen to it that the container is waited for."""
        descriptor = self._open()
        if self._waiter is None or not self._waiter.is_alive():
            self._waiter = threading.Thread(
                target=_wait_for_end, args=(self._address, container_id, descriptor), name="wait", daemon=True
            )
            self._waiter.start()
        return descriptor

    def clear(self) -> None:
        """Forget what was told so far; before a look, so that what comes during the look is not lost."""
        if self._descriptor is not None:
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)

    def wake_after(self, seconds: float) -> None:
        """Have the descriptor become readable in ``seconds``, in place of an earlier moment."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(max(0.0, seconds), _wake, (self._open(),))
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """Close the descriptor of a container that has ended."""
        if self._waiter is not None:
            self._waiter.join()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._descriptor


def _wait_for_end(address: str, container_id: str, descriptor: int) -> None:
    engine = Engine(address)
    try:
        engine.wait(container_id)
    except (EngineError, RunnerUnavailable):
        time.sleep(PAUSE_SECONDS)
    finally:
        engine.close()
        _wake(descriptor)


def _wake(descriptor: int) -> None:
    os.eventfd_write(descriptor, 1)
