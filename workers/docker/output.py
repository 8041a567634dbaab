"""Copies a container's log into the files of its job: each byte once, also where processes die in between.

The engine gives the log from its beginning, in entries with times; the job's files say how many bytes of it they have.
That alone is enough as long as the engine still has the log's beginning. Where it has dropped that, a position kept
beside the files names the last entry that was taken. Times are names of entries here, and not their order: those of the
two streams go past each other, and clocks are set back.
"""

from collections.abc import Callable, Iterable
from itertools import chain, dropwhile
from pathlib import Path

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
        self._noted = 0
        self._reached: _Reached | None = None
        self._last: bytes | None = None

    def copy(self, log: Iterable[bytes], again: Callable[[], Iterable[bytes]]) -> None:
        """Copy the entries of a log from its beginning; each has its time before it.

        ``again`` gives what there is of the same log at this moment, for a look ahead.
        """
        entries = iter(log)
        first = next(entries, None)
        if first is None:
            return
        reached, skip = self._begin(_parted(first)[0], again)
        whole = chain((first,), entries)
        try:
            for entry in dropwhile(_until(reached), whole) if reached.last else whole:
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

    def _begin(self, first: str, again: Callable[[], Iterable[bytes]]) -> tuple["_Reached", int]:
        """Return where a log stands whose first entry is of the time ``first``, and how much of the rest is known."""
        kept, beginning = self._kept, _Reached(Position(first, "", 0, 0, 0))
        if kept is None:
            return beginning, self._writer.position
        since_then = max(0, self._writer.position - kept.written)
        if kept.first == first:
            return beginning, kept.taken + since_then
        if any(_parted(entry)[0] == kept.last for entry in again()):
            return _Reached(kept), since_then
        # The engine has dropped all that is known.
        return beginning, 0

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
    """Return what tells whether an entry of a log comes before, or is, the last one that was taken, which is there."""
    last, left, is_found = reached.last, reached.same, False

    def is_seen(entry: bytes) -> bool:
        nonlocal left, is_found
        if _parted(entry)[0] != last:
            return not is_found
        is_found = True
        left -= 1
        return left >= 0

    return is_seen


def _parted(entry: bytes) -> Entry:
    time, _, text = entry.partition(b" ")
    return time.decode("ascii", "replace"), text
