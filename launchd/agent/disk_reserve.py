"""Room on a disk, held by a file, that is given up when the disk is full."""

import contextlib
import os
from pathlib import Path

#: Enough for the journal to note the ends of some hundred jobs.
RESERVE_BYTES = 1024 * 1024


class DiskReserve:
    """Room of :data:`RESERVE_BYTES` beside a file that must be written also when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def hold(self) -> None:
        """Take the room unless it is held; raises :class:`OSError` where there is too little."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
        except OSError:
            # Less than the whole is no help to the journal, and what others lack.
            self.release()
            raise
        finally:
            os.close(descriptor)

    def release(self) -> bool:
        """Give the room up; returns whether there was any."""
        with contextlib.suppress(OSError):
            self._path.unlink()
            return True
        return False
