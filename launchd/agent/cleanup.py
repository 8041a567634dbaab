"""Removes the directories of jobs that are over, beside the main loop: a large one takes its time.

A directory is moved out of the way first, so that an item that comes again finds none of it. What jobs left is removed
as the users who own it; only then, and once no process has them, may the numbers of these users be given out again. A
failure is logged, and costs no more than the room and the numbers.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from ipc.trees import remove_job_directory
from launchd.agent.job_users import owners_below, users_of_processes

#: In the state directory: what is to be removed.
REMOVED_DIRECTORY = "removed"

log = logging.getLogger(__name__)


class OldJob(msgspec.Struct, frozen=True):
    """A job whose ``directories`` are to be removed, and the numbers of the ``users`` that belong to it alone."""

    directories: tuple[str, ...]
    users: tuple[int, ...] = ()


class Cleanup:
    """Removes what is left of jobs. ``on_removed`` is called in another thread, with numbers of which nothing is left.

    Main thread only.
    """

    def __init__(self, state_dir: Path, on_removed: Callable[[tuple[int, ...]], None]) -> None:
        self._removed = state_dir / REMOVED_DIRECTORY
        self._on_removed = on_removed
        self._lock = threading.Lock()
        #: Of which no file is left, but were processes when that was looked at last.
        self._lingering: set[int] = set()

    def resume(self) -> None:
        """Remove what an agent before this one has not come to."""
        if self._removed.is_dir():
            left = [str(path) for path in self._removed.iterdir()]
            self._start([OldJob((path,), tuple(set(owners_below([Path(path)])))) for path in left])

    def remove(self, jobs: Iterable[OldJob]) -> None:
        """Remove the directories of ``jobs``, which have no process of the agent any more.

        Also without any jobs: numbers whose last processes have ended since are free then.
        """
        moved = []
        for job in jobs:
            try:
                paths = tuple(self._move(path) for path in job.directories if os.path.lexists(path))
            except OSError as error:
                _log_failure(f"{error.filename}: {error.strerror}")
            else:
                moved.append(OldJob(paths, job.users))
        self._start(moved)

    def _move(self, directory: str) -> str:
        self._removed.mkdir(mode=0o700, exist_ok=True)
        name = directory.rpartition("/")[2]
        target = f"{self._removed}/{name}.{secrets.token_hex(4)}"
        # A text, for a Path would intern the job's name: see `ipc.work_order`.
        os.rename(directory, target)  # noqa: PTH104
        return target

    def _start(self, jobs: list[OldJob]) -> None:
        if jobs or self._lingering:
            threading.Thread(target=self._work, args=(tuple(jobs),), name="housekeeping", daemon=True).start()

    def _work(self, jobs: tuple[OldJob, ...]) -> None:
        done = [job for job in jobs if _remove(job)]
        with self._lock:
            self._lingering.update(user for job in done for user in job.users)
            free = self._lingering - users_of_processes() if self._lingering else set()
            self._lingering -= free
        if free:
            self._on_removed(tuple(free))


def _remove(job: OldJob) -> bool:
    """Remove what is left of a job; returns whether nothing is left, and its users' numbers may go on."""
    try:
        problems = [problem for path in job.directories if (problem := remove_job_directory(path, job.users))]
    except Exception:
        # The thread must not end, nor the agent with it, over one directory.
        log.exception("Removing what is left of an old job raised an unexpected error.")
        return False
    for problem in problems:
        _log_failure(problem)
    return not problems


def _log_failure(problem: str) -> None:
    log.warning("What is left of an old job could not be removed.", extra={"why": problem})
