"""Snapshots of a SQLite database that is in use, to be restored later."""

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import msgspec

#: Between two snapshots of one database, in seconds.
INTERVAL_SECONDS = 2.0

#: How many snapshots are kept; the oldest is about as old as the interval times this.
KEPT = 3


class Snapshot(msgspec.Struct, frozen=True):
    """A copy, and when it was begun in monotonic seconds."""

    path: Path
    taken_at: float


class Snapshots:
    """The last snapshots of the database at ``database``, kept in ``directory``."""

    def __init__(self, database: Path, directory: Path) -> None:
        directory.mkdir()
        self._database = database
        self._directory = directory
        self._number = 0
        self._taken: list[Snapshot] = []

    def take(self) -> None:
        """Take another one, if that is due and the database can be read."""
        now = time.monotonic()
        if not self._database.exists() or (self._taken and now - self._taken[-1].taken_at < INTERVAL_SECONDS):
            return
        self._number += 1
        path = self._directory / f"{self._number}.sqlite"
        with suppress(sqlite3.Error):
            _copy(self._database, path)
            self._taken.append(Snapshot(path, now))
        while len(self._taken) > KEPT:
            self._taken.pop(0).path.unlink()

    def restore(self, pick: float) -> Snapshot | None:
        """Put one back in place of the database, which nothing may use; returns it, ``None`` where there is none."""
        if not self._taken:
            return None
        index = int(pick * len(self._taken))
        snapshot = self._taken[index]
        # Those that are later belong to a history that never was.
        for later in self._taken[index + 1 :]:
            later.path.unlink()
        del self._taken[index + 1 :]
        for suffix in ("-wal", "-shm"):
            self._database.with_name(self._database.name + suffix).unlink(missing_ok=True)
        shutil.copyfile(snapshot.path, self._database)
        _sync(self._database)
        _sync(self._database.parent)
        return snapshot


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(database: Path, path: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(path)) as copy,
    ):
        source.backup(copy)
