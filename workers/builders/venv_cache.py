"""Virtual environments kept on this host by what is in them.

    KEY/       the environment          KEY.lock   exclusive: being built or removed; shared: in use
    KEY.json   it is complete           (a lock file stays for ever: removing it would split the lock in two)

An environment is built where it will stay, for it knows its own path; what makes
it count is ``KEY.json``, written last. Without that it belongs to no job, and the
next holder of the lock removes it.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from ipc.trees import remove_tree

log = logging.getLogger(__name__)


class _Completion(msgspec.Struct, frozen=True):
    size_bytes: int


class EntryLock:
    """The lock of one environment; the kernel frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_exclusive(self) -> bool:
        """Hold it alone, if no other process holds it; a shared hold of this process is lost either way."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Hold it beside others, if no process holds it alone; an exclusive hold of this process ends."""
        return self._try(fcntl.LOCK_SH)

    def fileno(self) -> int:
        """Return the descriptor; a child that inherits it holds the lock too."""
        return self._descriptor

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)

    def _try(self, how: int) -> bool:
        try:
            fcntl.flock(self._descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Entry:
    """The place of one environment in the cache, built or not."""

    def __init__(self, directory: Path, key: str) -> None:
        self.path = directory / key
        self.lock_path = directory / f"{key}.lock"
        self._completion = directory / f"{key}.json"

    def is_complete(self) -> bool:
        """Return whether it was built to its end."""
        return self._completion.exists()

    def complete(self) -> None:
        """Make it count; only for who holds the lock alone."""
        size = sum(status.st_blocks * 512 for _, status in files_below(self.path))
        # A power cut must not leave the note that it is complete without its files.
        os.sync()
        temporary = self._completion.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(_Completion(size)))
        temporary.replace(self._completion)

    def remove(self) -> str | None:
        """Remove it, as the user who owns it; return why something is left, or None; for who holds the lock alone."""
        self._completion.unlink(missing_ok=True)
        return remove_tree(self.path)

    def note_use(self) -> None:
        """Make it the most recently used one."""
        os.utime(self._completion)

    def used_at(self) -> float:
        """Return when it was last used, in seconds since the epoch; 0 when it was never completed."""
        return self._completion.stat().st_mtime if self.is_complete() else 0.0

    def size_bytes(self) -> int:
        """Return what it takes on the disk; 0 when it was never completed."""
        if not self.is_complete():
            return 0
        return msgspec.json.decode(self._completion.read_bytes(), type=_Completion).size_bytes


def trim(directory: Path, max_bytes: int, keep_seconds: float | None = None) -> list[str]:
    """Remove half-built environments, the least recently used ones beyond ``max_bytes``, and those no longer used.

    Returns what was removed. ``keep_seconds`` counts from the last use; None: as long as there is room.
    One that is being built or used is left alone.
    """
    entries = [Entry(directory, path.stem) for path in directory.glob("*.lock")]
    total = sum(entry.size_bytes() for entry in entries)
    removed = []
    for entry in sorted(entries, key=Entry.used_at):
        size = entry.size_bytes()
        if entry.path.exists() and (total > max_bytes or _is_stale(entry, keep_seconds)) and _remove_unused(entry):
            total -= size
            removed.append(entry.path.name)
    return removed


def _is_stale(entry: Entry, keep_seconds: float | None) -> bool:
    """Whether it was never completed, or not used for so long."""
    unused = time.time() - entry.used_at()
    return not entry.is_complete() or (keep_seconds is not None and unused > keep_seconds)


def _remove_unused(entry: Entry) -> bool:
    with closing(EntryLock(entry.lock_path)) as lock:
        if not lock.try_exclusive():
            return False
        problem = entry.remove()
    if problem is not None:
        log.warning("An environment could not be removed.", extra={"why": problem})
    return problem is None


def files_below(tree: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield all that is in ``tree``, however deep, with its status; links are not followed."""
    waiting = [tree]
    while waiting:
        directory = waiting.pop()
        yield directory, directory.lstat()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                else:
                    yield Path(entry.path), entry.stat(follow_symlinks=False)
