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
        self._noted = 0
        self._reached: _Reached | None = None
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
                self._writer.write(text[skip:] if skip else text)
                skip = max(0, skip - len(text))
                reached.advance(time, len(text))
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

    def _begin(self, first: str) -> tuple["_Reached", int]:
        """Return where a log stands whose first entry is of the time ``first``, and how much of the rest is known."""
        kept = self._kept
        if kept is None:
            return _Reached(Position(first, "", 0, 0, 0)), self._writer.position
        since_then = self._writer.position - kept.written
        if kept.first == first:
            return _Reached(Position(first, "", 0, 0, 0)), max(0, kept.taken + since_then)
        return _Reached(kept), max(0, since_then)

    def _keep(self, reached: "_Reached") -> None:
        """Remember what is in the job's files; note it on disk now and then."""
        self._reached = reached
        if reached.taken - self._noted >= NOTE_BYTES:
            self._note()

    def _note(self) -> None:
        if self._reached is not None:
            self._kept = self._reached.position(self._writer.position)
            self._noted = self._kept.taken
            records.write_position(self._directory, self._kept)


class _Reached:
    """How far a log has been read."""

    def __init__(self, position: Position) -> None:
        self._first = position.first
        self.last = position.last
        self.same = position.same
        self.taken = position.taken

    def advance(self, time: str, size: int) -> None:
        """Go on by an entry."""
        self.same = self.same + 1 if time == self.last else 1
        self.last = time
        self.taken += size

    def position(self, written: int) -> Position:
        """Return it as it is kept on disk."""
        return Position(self._first, self.last, self.same, self.taken, written)


def _until(reached: _Reached) -> Callable[[bytes], bool]:
    """Return what tells whether an entry of a log comes before, or is, the last one that was taken."""
    last, left = reached.last, reached.same

    def is_seen(entry: bytes) -> bool:
        nonlocal left
        time, _ = _parted(entry)
        if left <= 0:
            return False
        if time == last:
            left -= 1
            return True
        return _second(time) - _second(last) <= LATER_SECONDS

    return is_seen


def _parted(entry: bytes) -> Entry:
    time, _, text = entry.partition(b" ")
    return time.decode("ascii", "replace"), text


def _second(time: str) -> int:
    """Return the second of a time in RFC 3339 as seconds since the epoch."""
    return int(datetime.fromisoformat(f"{time[:19]}+00:00").timestamp())
