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

LOCK_FILE = "worker.lock"

#: How long a killed predecessor may take to be gone.
TAKE_OVER_SECONDS = 10.0

log = logging.getLogger(__name__)


class PredecessorAlive(Exception):
    """The job's earlier worker cannot be killed (it hangs in the kernel, for instance on a dead network disk)."""


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
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            _end_holder(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
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
    pid = int(os.pread(descriptor, 32, 0) or b"0")
    if pid > 0:
        log.warning("An earlier worker still holds this job and is ended.", extra={"pid": pid})
        _kill(pid)
    if not _try_lock(descriptor):
        raise PredecessorAlive(f"The earlier worker of this job (process {pid}) cannot be ended.")


def _kill(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [], TAKE_OVER_SECONDS)
    finally:
        os.close(process)
