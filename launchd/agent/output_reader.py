"""Reads a job's output: rotated files in order, bytes as they are, also while they are written.

The writer renames ``output.log`` to ``output.log.1``, that to ``output.log.2`` and so on, the oldest first. What a job
put in the place of one is passed over.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ipc.plain_files import open_plain

CHUNK_BYTES = 64 * 1024

#: Errors of a file that is gone by now, and of a link, a socket and anything else that is no plain file.
_PASSED_OVER = (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EINVAL)


class OutputReader:
    """A reader that goes on where it stopped, also when files were rotated meanwhile; removed files are skipped."""

    def __init__(self, newest: Path) -> None:
        self._newest = newest
        self._file: BinaryIO | None = None

    def read(self) -> Iterator[bytes]:
        """Yield everything that was written since the last call."""
        while True:
            following = self._following()
            # Looked for first, read then: a file that has a successor does not grow any more.
            if self._file is not None:
                yield from iter(lambda file=self._file: file.read(CHUNK_BYTES), b"")  # type: ignore[misc]
            if following is None:
                return
            self.close()
            self._file = following

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _following(self) -> BinaryIO | None:
        """Open the file after the one that is open; the oldest one, if none is open or it was removed."""
        current = _identity(self._file) if self._file else None
        following: BinaryIO | None = None
        for file in self._newest_first():
            if _identity(file) == current:
                file.close()
                return following
            if following is not None:
                following.close()
            following = file
        return following

    def _newest_first(self) -> Iterator[BinaryIO]:
        # A rotation meanwhile moves files in the direction of this loop: one may be seen twice, none is missed.
        last = None
        for number in self._numbers():
            path = self._newest.with_name(f"{self._newest.name}.{number}") if number else self._newest
            try:
                file = open_plain(path)
            except OSError as error:
                if error.errno in _PASSED_OVER:
                    continue
                raise
            if _identity(file) == last:
                file.close()
                continue
            last = _identity(file)
            yield file

    def _numbers(self) -> list[int]:
        """Return the numbers of files, 0 for the newest, each with the one that a rotation gives it meanwhile."""
        names = (path.name.rpartition(".")[2] for path in self._newest.parent.glob(f"{self._newest.name}.*"))
        numbers = {0, *(int(name) for name in names if name.isdecimal())}
        return sorted(numbers | {number + 1 for number in numbers})


def _identity(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino
