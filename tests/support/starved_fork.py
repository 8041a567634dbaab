"""Loaded by a fork server of a test: the kernel has no process to give while a file is there.

``LAUNCHD_TEST_STARVED`` names the file. It is a limit of processes without the limit, which root would not have.
"""

import errno
import os
from pathlib import Path

_fork = os.fork


def _starved_fork() -> int:
    if Path(os.environ["LAUNCHD_TEST_STARVED"]).exists():
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = _starved_fork
