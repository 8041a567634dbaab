"""Copies a container's log into the files of its job: each byte once, also where processes die in between.

The engine gives the log from its beginning, in entries with times; the job's files say how many bytes of it they have.
That alone is enough as long as the engine still has the log's beginning. Where it has dropped that, a position kept
beside the files names the last entry that was taken.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain, dropwhile
from pathlib import Path

import msgspec

from workers.docker import records
from workers.docker.records import Position
from workers.output import OutputWriter

#: How many bytes are copied between two notes of the position.
NOTE_BYTES = 1 << 20

Entry = tuple[str, bytes]


class LogCopy:
    """The copy of one container's log; goes on where an earlier one, of this process or another, stopped."""

    def __init__(self, directory: Path, writer: OutputWriter) -> None:
        self._directory = directory
        self._writer = writer
        self._kept = records.read_position(directory)
        self._is_continued = False

    @property
    def since(self) -> int | None:
        """The second of the last entry where this object has copied it: from there on the log is enough."""
        return _second(self._kept.last) if self._is_continued and self._kept else None

    def copy(self, log: Iterable[bytes]) -> None:
        """Copy the entries of a log, which begins at its beginning or at :attr:`since`; each has its time before it."""
        entries = map(_parted, log)
        head = next(entries, None)
        if head is None:
            return
        reached, skip = self._begin(head[0])
        written = self._writer.position
        try:
            for time, text in self._unseen(chain((head,), entries), reached):
                self._writer.write(text[skip:])
                skip = max(0, skip - len(text))
                reached = _advanced(reached, time, len(text))
                if not skip:
                    written = self._keep(reached, written)
        finally:
            self._note()

    def copy_raw(self, log: Iterable[bytes]) -> None:
        """Copy a log that has no entries, from its beginning."""
        skip = self._writer.position
        for piece in log:
            self._writer.write(piece[skip:])
            skip = max(0, skip - len(piece))

    def _begin(self, first: str) -> tuple[Position, int]:
        """Return where a log stands whose first entry is of the time ``first``, and how much of the rest is known."""
        kept, has_all = self._kept, self._writer.position
        if kept is None:
            return Position(first, "", 0, 0, 0), has_all
        more = max(0, has_all - kept.written)
        if kept.first == first and self.since is None:
            return Position(first, "", 0, 0, 0), max(0, kept.taken + has_all - kept.written)
        return kept, more

    @staticmethod
    def _unseen(entries: Iterator[Entry], reached: Position) -> Iterator[Entry]:
        left = reached.same

        def is_seen(entry: Entry) -> bool:
            nonlocal left
            if entry[0] == reached.last:
                left -= 1
                return left >= 0
            return entry[0] < reached.last

        return dropwhile(is_seen, entries)

    def _keep(self, reached: Position, noted: int) -> int:
        """Remember what is in the job's files; note it on disk now and then."""
        position = self._writer.position
        self._kept = msgspec.structs.replace(reached, written=position)
        self._is_continued = True
        if position - noted < NOTE_BYTES:
            return noted
        self._note()
        return position

    def _note(self) -> None:
        if self._is_continued and self._kept is not None:
            records.write_position(self._directory, self._kept)


def _advanced(position: Position, time: str, size: int) -> Position:
    same = position.same + 1 if time == position.last else 1
    return msgspec.structs.replace(position, last=time, same=same, taken=position.taken + size)


def _parted(entry: bytes) -> Entry:
    time, _, text = entry.partition(b" ")
    return time.decode("ascii", "replace"), text


def _second(time: str) -> int:
    """Return the second of a time in RFC 3339 as seconds since the epoch."""
    return int(datetime.fromisoformat(f"{time[:19]}+00:00").timestamp())
