"""A job's output as files: capped, rotated, and never a reason for the job to fail.

``output.log`` is the newest, ``output.log.1`` the one before it, and so on. All
but the newest are exactly as long as the limit was; ``output.start`` holds the
position in the whole output at which ``output.log`` begins.
"""

import os
from contextlib import suppress
from pathlib import Path

from ipc.job_files import OUTPUT_FILE, OUTPUT_START_FILE
from ipc.settings import JobsConfig


class OutputWriter:
    """Writes output to the files of one job, after what earlier writers wrote there.

    What does not fit on the disk is dropped, and a note says how much. ``position`` counts the bytes of the whole
    output that were taken so far, by this writer and those before it.
    """

    def __init__(self, directory: Path, limits: JobsConfig) -> None:
        self._directory = directory
        self._file_bytes = limits.output_max_bytes
        self._files = limits.output_files
        self._descriptor: int | None = None
        self._room = 0
        self._start = _read_start(directory)
        self._dropped = 0
        self.position = self._start + self._newest_bytes()

    def write(self, data: bytes) -> None:
        """Write ``data``, over as many files as it takes; never raises :class:`OSError`."""
        self.position += len(data)
        rest = memoryview(data)
        try:
            self._open()
            self._note_what_was_dropped()
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            self._dropped += len(rest)

    def close(self) -> None:
        """Close the file; a later write opens it again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()

    def _newest_bytes(self) -> int:
        try:
            self._open()
        except OSError:
            return 0
        return self._file_bytes - self._room

    def _open(self) -> None:
        if self._descriptor is None:
            path = self._directory / OUTPUT_FILE
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._room = self._file_bytes - os.fstat(self._descriptor).st_size

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
        self.close()
        for number in range(self._files - 1, 0, -1):
            with suppress(FileNotFoundError):
                numbered(self._directory, number - 1).replace(numbered(self._directory, number))
        numbered(self._directory, 0).unlink(missing_ok=True)
        # As long as it was: an earlier writer may have had another limit.
        self._start += self._file_bytes - self._room
        # On a full disk a later writer counts from a wrong position until the next rotation; the output itself goes on.
        with suppress(OSError):
            _write_start(self._directory, self._start)
        self._open()


def numbered(directory: Path, number: int) -> Path:
    """Return the path of the output file ``number`` rotations old."""
    return directory / (f"{OUTPUT_FILE}.{number}" if number else OUTPUT_FILE)


def _write_start(directory: Path, start: int) -> None:
    temporary = directory / f".{OUTPUT_START_FILE}.new"
    temporary.write_text(str(start))
    temporary.replace(directory / OUTPUT_START_FILE)


def _read_start(directory: Path) -> int:
    try:
        return int((directory / OUTPUT_START_FILE).read_text())
    except (OSError, ValueError):
        return 0
