"""The highest lease number that was given, in a file beside the database: a lower one shows that it was restored."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_DIGITS = 20


class LeaseMark:
    """The file at `path`. A power cut may lose the newest numbers, so that a restored database may go unseen."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._noted = 0

    def read(self) -> int:
        """The number noted last; 0 where there is none."""
        try:
            return int(self._path.read_bytes())
        except (OSError, ValueError):
            return 0

    def note(self, numbers: Iterable[int]) -> None:
        """Note lease numbers that were given. What cannot be written is not noted."""
        highest = max(numbers, default=0)
        if highest > self._noted:
            self._noted = highest
            with suppress(OSError):
                os.pwrite(self._open(), b"%0*d" % (_DIGITS, highest), 0)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._descriptor
