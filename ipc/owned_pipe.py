"""A pipe that wakes its owner's thread, and is closed with its owner."""

import os
import weakref


def owned_pipe(owner: object) -> tuple[int, int]:
    """Return reading and writing end of a pipe, neither of which blocks; both are closed when ``owner`` is gone.

    A thread that still has a reference to the owner may still write, so there is no earlier moment to close it.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    weakref.finalize(owner, _close, reader, writer).atexit = False
    return reader, writer


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
