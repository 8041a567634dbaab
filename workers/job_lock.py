"""The lock by which a job has one worker at a time.

The lock is in the job's directory and ends with its holder, so it holds across supervisors: a worker of an earlier
supervisor that hangs is killed by its successor, also where that works on a later attempt.
"""

import fcntl
import logging
import os
import select
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ipc.handles import attempt_names
from workers import processes

LOCK_FILE = "worker.lock"

#: How long a killed predecessor may take to be gone.
TAKE_OVER_SECONDS = 10.0

log = logging.getLogger(__name__)


class PredecessorAlive(Exception):
    """The job's earlier worker holds it still, after SIGKILL or out of reach (it may hang on a dead network disk)."""


@contextmanager
def acquire_job_lock(directory: Path, attempt: int) -> Iterator[None]:
    """Hold a job for this process, ending the holder of this ``attempt``, in ``directory``, and of all earlier ones.

    Raises:
        PredecessorAlive: an earlier worker cannot be ended.
    """
    attempts = (directory.with_name(name) for name in attempt_names(directory.name, attempt))
    with ExitStack() as locks:
        for path in filter(Path.is_dir, attempts):
            locks.enter_context(_lock(path))
        yield


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    # Nothing is written, so that a job is taken over on a full disk as well.
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            _end_holder(descriptor)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end_holder(descriptor: int) -> None:
    """End the processes that have the lock's file open: only a worker of this job has."""
    pids = processes.holders_of(descriptor) - {os.getpid()}
    for pid in pids:
        _end(pid, descriptor)
    if not _try_lock(descriptor):
        named = ", ".join(map(str, sorted(pids))) or "not to be seen from here"
        raise PredecessorAlive(f"The earlier worker of this job (process {named}) still holds it.")


def _end(pid: int, descriptor: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The number may have gone to another process before it was pinned.
        if processes.has_open(pid, descriptor):
            log.warning("An earlier worker still holds this job and is ended.", extra={"pid": pid})
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], TAKE_OVER_SECONDS)
    finally:
        os.close(process)
