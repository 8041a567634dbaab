"""Locks on files, by which processes show that they live. Takes none: it only looks whether one is held."""

import fcntl
import os
from pathlib import Path


def is_held(path: Path, *, shared: bool = False) -> bool:
    """Return whether a process holds the lock of a file or directory for itself alone, or with ``shared`` in any way.

    With ``shared``, another that looks at the same time is taken for a holder.

    Raises:
        FileNotFoundError: there is no such file.
        OSError: it cannot be opened, so that nothing is known of a holder.
    """
    # Something else may stand in its place: a pipe is not waited for.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
