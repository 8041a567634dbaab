"""Copies a container's log into the files of its job: each byte once, also where processes die in between.

The engine gives the log from its beginning, in entries with times; the job's files say how many bytes of it they have.
That alone is enough as long as the engine still has the log's beginning. Where it has dropped that, a position kept
beside the files names the last entry that was taken. Times are names of entries here, and not their order: those of the
two streams go past each other, and clocks are set back.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import chain, dropwhile
from pathlib import Path

import msgspec

from workers.docker import records
from workers.docker.records import Position
from workers.output import OutputWriter

#: How many bytes are copied between two notes of the position.
NOTE_BYTES = 1 << 20
#: An entry so much later than the last one that was taken says that this one was dropped, in seconds.
LATER_SECONDS = 1

Entry = tuple[str, bytes]


class LogCopy:
    """The copy of one container's log; goes on where an earlier one, of this process or another, stopped."""

    def __init__(self, directory: Path, writer: OutputWriter) -> None:
        self._directory = directory
        self._writer = writer
        self._kept = records.read_position(directory)
        self._noted = self._kept
        self._last: bytes | None = None

    def copy(self, log: Iterable[bytes]) -> None:
        """Copy the entries of a log from its beginning; each has its time before it."""
        entries = iter(log)
        first = next(entries, None)
        if first is None:
            return
        reached, skip = self._begin(_parted(first)[0])
        try:
            for entry in dropwhile(_until(reached), chain((first,), entries)):
                time, text = _parted(entry)
                self._writer.write(text[skip:])
                skip = max(0, skip - len(text))
                reached = _advanced(reached, time, len(text))
                self._last = entry
                if not skip:
                    self._keep(reached)
        finally:
            self._note()

    def ends_with(self, log: Iterable[bytes]) -> bool:
        """Return whether the last entry that was copied is the last of ``log``, its end alone."""
        last = None
        for entry in log:
            last = entry
        return last == self._last

    def copy_raw(self, log: Iterable[bytes]) -> None:
        """Copy a log that has no entries, from its beginning."""
        skip = self._writer.position
        for piece in log:
            self._writer.write(piece[skip:])
            skip = max(0, skip - len(piece))

    def _begin(self, first: str) -> tuple[Position, int]:
        """Return where a log stands whose first entry is of the time ``first``, and how much of the rest is known."""
        beginning, kept = Position(first, "", 0, 0, 0), self._kept
        if kept is None:
            return beginning, self._writer.position
        since_then = self._writer.position - kept.written
        if kept.first == first:
            return beginning, max(0, kept.taken + since_then)
        return kept, max(0, since_then)

    def _keep(self, reached: Position) -> None:
        """Remember what is in the job's files; note it on disk now and then."""
        self._kept = msgspec.structs.replace(reached, written=self._writer.position)
        if self._noted is None or self._kept.taken - self._noted.taken >= NOTE_BYTES:
            self._note()

    def _note(self) -> None:
        if self._kept is not None and self._kept != self._noted:
            records.write_position(self._directory, self._kept)
            self._noted = self._kept


def _until(reached: Position) -> Callable[[bytes], bool]:
    """Return what tells whether an entry of a log comes before, or is, the last one that was taken."""
    left = reached.same

    def is_seen(entry: bytes) -> bool:
        nonlocal left
        time, _ = _parted(entry)
        if left <= 0:
            return False
        if time == reached.last:
            left -= 1
            return True
        return _second(time) - _second(reached.last) <= LATER_SECONDS

    return is_seen


def _advanced(position: Position, time: str, size: int) -> Position:
    same = position.same + 1 if time == position.last else 1
    return msgspec.structs.replace(position, last=time, same=same, taken=position.taken + size)


def _parted(entry: bytes) -> Entry:
    time, _, text = entry.partition(b" ")
    return time.decode("ascii", "replace"), text


def _second(time: str) -> int:
    """Return the second of a time in RFC 3339 as seconds since the epoch."""
    return int(datetime.fromisoformat(f"{time[:19]}+00:00").timestamp())
