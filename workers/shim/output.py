"""A job's output as files: capped, rotated, and never a reason for the job to fail.

``output.log`` is the newest, ``output.log.1`` the one before it, and so on. All
but the newest are exactly as long as the limit; ``output.start`` holds the
position in the whole output at which ``output.log`` begins.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO

from ipc.job_files import OUTPUT_FILE
from ipc.work_order import OutputLimits

_START_FILE = "output.start"
_READ_BYTES = 64 * 1024


class OutputWriter:
    """Writes output to the files of one job. What does not fit on the disk is dropped, and a note says how much."""

    def __init__(self, directory: Path, limits: OutputLimits) -> None:
        self._directory = directory
        self._limits = limits
        self._descriptor: int | None = None
        self._room = 0
        self._start = 0
        self._dropped = 0
        self.write(b"")

    def write(self, data: bytes) -> None:
        """Write ``data``, over as many files as it takes; never raises :class:`OSError`."""
        rest = memoryview(data)
        try:
            self._open()
            self._note_what_was_dropped()
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            self._dropped += len(rest)

    def _open(self) -> None:
        if self._descriptor is None:
            path = self._directory / OUTPUT_FILE
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._room = self._limits.file_bytes - os.fstat(self._descriptor).st_size

    def _note_what_was_dropped(self) -> None:
        if self._dropped:
            note = f"\n[launchd: {self._dropped} bytes of output were dropped here: they could not be written]\n"
            self._write_some(memoryview(note.encode()))
            self._dropped = 0

    def _write_some(self, data: memoryview) -> int:
        if self._room <= 0:
            self._rotate()
        assert self._descriptor is not None
        written = os.write(self._descriptor, data[: self._room])
        self._room -= written
        return written

    def _rotate(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        for number in range(self._limits.files - 1, 0, -1):
            with suppress(FileNotFoundError):
                numbered(self._directory, number - 1).replace(numbered(self._directory, number))
        numbered(self._directory, 0).unlink(missing_ok=True)
        self._start += self._limits.file_bytes
        # On a full disk readers see wrong positions until the next rotation; the output itself goes on.
        with suppress(OSError):
            _write_start(self._directory, self._start)
        self._open()


def numbered(directory: Path, number: int) -> Path:
    """Return the path of the output file ``number`` rotations old."""
    return directory / (f"{OUTPUT_FILE}.{number}" if number else OUTPUT_FILE)


def read_output(directory: Path, since: int) -> Iterator[bytes]:
    """Yield the output that is kept, from position ``since`` of the whole output on."""
    with ExitStack() as stack:
        start, files = _open_all(directory, stack)
        position = start
        for file in files:
            size = os.fstat(file.fileno()).st_size
            file.seek(min(size, max(0, since - position)))
            position += size
            while data := file.read(_READ_BYTES):
                yield data


def _open_all(directory: Path, stack: ExitStack) -> tuple[int, list[BinaryIO]]:
    """Open all files, oldest first, such that no rotation falls between; return also where the oldest begins."""
    while True:
        start = _read_start(directory)
        files = _open_each(directory, stack)
        if start == _read_start(directory):
            return start - sum(os.fstat(file.fileno()).st_size for file in files[:-1]), files


def _open_each(directory: Path, stack: ExitStack) -> list[BinaryIO]:
    files: list[BinaryIO] = []
    while True:
        try:
            files.insert(0, stack.enter_context(numbered(directory, len(files)).open("rb")))
        except FileNotFoundError:
            return files


def _write_start(directory: Path, start: int) -> None:
    temporary = directory / f".{_START_FILE}.new"
    temporary.write_text(str(start))
    temporary.replace(directory / _START_FILE)


def _read_start(directory: Path) -> int:
    try:
        return int((directory / _START_FILE).read_text())
    except FileNotFoundError:
        return 0
