"""What stands on disk about builds in pods: there before anything of a build can exist, gone once nothing does.

A build holds a lock on its record. One that none holds was left by a worker that died; another build of the same
image takes it up, and after a time any build removes it from the cluster.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from workers.builders.venv_cache import EntryLock
from workers.context import JobContext
from workers.images.build_area import images_directory
from workers.record_files import read_record, replace_record

#: How long a build is left alone that no worker looks after, in seconds.
ABANDONED_SECONDS = 600.0

_ENDING = ".json"


class BuildRecord(msgspec.Struct, frozen=True):
    """A build that may exist in a cluster, with its Secrets, and its files at ``stored``."""

    name: str
    namespace: str
    config_file: str | None = None
    context: str | None = None
    secrets: tuple[str, ...] = ()
    stored: str | None = None


class BuildRecords:
    """The records of this host."""

    def __init__(self, context: JobContext) -> None:
        self._directory = images_directory(context) / "pod-builds"
        self._directory.mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def held(self, name: str) -> Iterator[bool]:
        """Hold the build ``name`` where no other process does; yields whether that is so."""
        lock = EntryLock(self._directory / f"{name}.lock")
        try:
            yield lock.try_exclusive()
        finally:
            lock.close()

    def read(self, name: str) -> BuildRecord | None:
        """Return the record of a build, None where there is none."""
        return read_record(self._path(name), BuildRecord)

    def write(self, record: BuildRecord) -> None:
        """Write a record so that it survives a power cut; raises :class:`OSError`."""
        replace_record(self._path(record.name), record, durable=True)

    def touch(self, name: str) -> None:
        """Note that a build is looked after."""
        with suppress(OSError):
            os.utime(self._path(name))

    def remove(self, name: str) -> None:
        """Remove the record of a build of which nothing exists any more."""
        self._path(name).unlink(missing_ok=True)

    def abandoned(self) -> list[str]:
        """Return the names of builds that no worker has looked after for a time."""
        before = time.time() - ABANDONED_SECONDS
        return [path.stem for path in self._directory.glob(f"*{_ENDING}") if _age_of(path) < before]

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_ENDING}"


def _age_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
