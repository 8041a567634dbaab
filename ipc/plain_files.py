"""Opening files that others may have put in their place: no link is followed, and nothing is waited for.

A job, or what it brings, may put a link, a pipe or a device where a file is expected: what reads it must neither hang
nor read something else.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO


def open_plain(path: Path | str) -> BinaryIO:
    """Open a file to be read.

    Raises:
        OSError: there is none, or it is a link or anything else that is no plain file.
    """
    # The path stays a text where it is one: a Path would intern the names of jobs, see `ipc.work_order`.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return os.fdopen(descriptor, "rb")
