"""Reads a job's output by position, while it is written and rotated. Opens nothing by a name that is a link.

Positions count the bytes of the whole output of one attempt; the writer keeps the one at which the newest file begins
in ``output.start``, which it changes between two files.
"""

import os
from typing import NamedTuple

import msgspec

from ipc.job_files import OUTPUT_FILE, OUTPUT_START_FILE
from ipc.plain_files import open_plain

#: How often a reading is repeated that a rotation has overtaken.
TRIES = 3

#: Of a position.
MOST_DIGITS = 20


class _File(NamedTuple):
    """One file of an output, and the position at which it begins."""

    position: int
    size: int
    path: str


class Part(msgspec.Struct, frozen=True):
    """Bytes of an output that begin at ``position``; the whole output was ``size`` bytes long when they were read."""

    position: int
    size: int
    content: bytes

    @property
    def is_at_end(self) -> bool:
        """Whether nothing followed."""
        return self.position + len(self.content) >= self.size


class OutputTail:
    """The output in the directory of one attempt."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def read(self, position: int, limit: int, most_behind: int) -> Part:
        """Return at most ``limit`` bytes.

        They are those at ``position``, or later ones: what was rotated away, and what is further from the end than
        ``most_behind``, is left out. Without any output yet, all is 0.
        """
        for _ in range(TRIES):
            start = self._newest_start()
            files = self._files(start)
            try:
                found = _part(files, position, limit, most_behind)
            except OSError:
                # It was renamed meanwhile, or is no file: what jobs write must not end the thread that reads it.
                continue
            if self._newest_start() == start:
                return found
        return Part(position, position, b"")

    def _newest_start(self) -> int:
        try:
            return int(_read(f"{self._directory}/{OUTPUT_START_FILE}", MOST_DIGITS, 0))
        except (OSError, ValueError):
            return 0

    def _files(self, start: int) -> list[_File]:
        """Return the files, the newest first."""
        files: list[_File] = []
        number, position = 0, start
        while True:
            path = f"{self._directory}/{OUTPUT_FILE}" + (f".{number}" if number else "")
            try:
                size = os.lstat(path).st_size
            except OSError:
                return files
            position -= size if number else 0
            files.append(_File(position, size, path))
            number += 1


def _part(files: list[_File], position: int, limit: int, most_behind: int) -> Part:
    """Return what :meth:`OutputTail.read` says, of ``files``; raises :class:`OSError`."""
    if not files:
        return Part(position, position, b"")
    size = files[0].position + files[0].size
    position = min(size, max(position, files[-1].position, size - most_behind))
    start, _, path = next(file for file in files if file.position <= position)
    return Part(position, size, _read(path, limit, position - start))


def _read(path: str, limit: int, offset: int) -> bytes:
    """Return at most ``limit`` bytes of a plain file; raises :class:`OSError`."""
    with open_plain(path) as file:
        file.seek(offset)
        return file.read(limit)
