"""The file of a journal: SQLite with full sync, changed by one commit at a time, and one agent's alone.

Changes are collected and written by one :meth:`JournalFile.commit`, so that an iteration of the supervisor's loop costs
one sync; what depends on a change is a hook that runs after that commit. A full disk has room reserved for them. Knows
no table.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ipc.directories import make_passable
from launchd.agent.disk_reserve import DiskReserve
from launchd.agent.journal_schema import NewerLayout, open_journal

#: How often room is reserved again, in seconds; not at once, for it would be taken from what is being written.
RESERVE_AGAIN_SECONDS = 5.0


class JournalError(Exception):
    """The journal cannot be opened, read or written; the message says why and what to do."""


class JournalFile:
    """The open file of one supervisor's journal. Not thread-safe: the supervisor's main thread owns it.

    Every method that reads or writes raises :class:`JournalError` where the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, making it if it is missing.

        Raises:
            JournalError: another agent uses it, it is of a newer version, or the disk refuses.
        """
        self.path = path
        self._lock = _lock_beside(path)
        self._reserve = DiskReserve(path.with_suffix(".reserve"))
        self._reserve_at = 0.0
        #: Why there is no room reserved for the journal, as a sentence.
        self.shortage: str | None = None
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        self._hooks: list[Callable[[], None]] = []
        self._commit_requested = False
        try:
            self._db = self._open()
        except (sqlite3.Error, NewerLayout) as error:
            os.close(self._lock)
            raise JournalError(f"The journal {path} cannot be used: {error}.") from error
        self.reserve_room()

    def _open(self) -> sqlite3.Connection:
        try:
            return open_journal(self.path)
        except sqlite3.Error:
            # A full disk has no room even for the file by which SQLite's processes agree.
            if not self._reserve.release():
                raise
            return open_journal(self.path)

    def close(self) -> None:
        """Close the file and let another agent have it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        os.close(self._lock)

    def rows(self, query: str, *values: object) -> list[Sequence[Any]]:
        """Return the rows of a query, as they are on disk."""
        with self._reading():
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be read: {error}.") from error

    def change(self, statement: str, *values: object) -> None:
        """Note a change. A text that no file can hold is refused here, where it costs this change and no other one."""
        for value in values:
            if type(value) is str:
                value.encode()
        self._pending.append((statement, values))

    # -- the commit, and what comes after it

    def on_commit(self, hook: Callable[[], None], *, lazy: bool = False) -> None:
        """Run ``hook`` after the next successful commit; it must not raise.

        The commit is made soon, unless ``lazy``: then it may wait for other changes.
        """
        self._hooks.append(hook)
        self._commit_requested = self._commit_requested or not lazy

    def request_commit(self) -> None:
        """Ask for a commit soon: no hook waits for it, but what changed must not be forgotten."""
        self._commit_requested = True

    @property
    def commit_requested(self) -> bool:
        """Whether the next commit should not wait for other changes."""
        return self._commit_requested

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to commit, or a hook that waits for a commit."""
        return bool(self._pending or self._hooks)

    def commit(self) -> None:
        """Write and sync all changes since the last commit, or none of them; then run the hooks.

        Raises:
            JournalError: the disk refused; changes and hooks are kept for the next commit.
        """
        if self._pending:
            try:
                self._write_with_reserve()
            except sqlite3.Error as error:
                sentence = f"The journal {self.path} cannot be written: {error}. Make room on its disk."
                raise JournalError(sentence) from error
            self._pending.clear()
            self._on_written()
        self._commit_requested = False
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

    def _on_written(self) -> None:
        """Act on that all changes are on disk, before any hook does; does nothing here."""

    def _write_with_reserve(self) -> None:
        try:
            self._write_pending()
        except sqlite3.Error:
            if not self._reserve.release():
                raise
            self._note_shortage("its disk is full")
            self._write_pending()

    def reserve_room(self) -> None:
        """Reserve room on the disk, now and then, where there is none: the journal needed it, or it was not there."""
        now = time.monotonic()
        if now < self._reserve_at:
            return
        self._reserve_at = now + RESERVE_AGAIN_SECONDS
        try:
            self._reserve.hold()
        except OSError as error:
            self._note_shortage(str(error.strerror))
        else:
            self.shortage = None

    def _note_shortage(self, why: str) -> None:
        self._reserve_at = time.monotonic() + RESERVE_AGAIN_SECONDS
        self.shortage = f"No room is reserved for the journal {self.path}: {why}. Make room on its disk."

    def _write_pending(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in self._pending:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _lock_beside(path: Path) -> int:
    try:
        make_passable(path.parent)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"The state directory {path.parent} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalError(
            f"Another agent (process {owner}) uses {path.parent}. Stop it, or give this one another state_dir."
        ) from None
    # The process id is for people: a full disk, which has no room for it, must not keep the agent from starting.
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
    return descriptor
