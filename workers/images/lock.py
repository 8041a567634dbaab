"""One build at a time of an image, over all jobs of a host."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from workers.builders.venv_cache import EntryLock
from workers.context import JobContext
from workers.images.build_area import images_directory

_LOOK_AGAIN_SECONDS = 0.2


@contextmanager
def building(reference: str, context: JobContext) -> Iterator[None]:
    """Hold the right to build ``reference``; waits for another worker that builds it.

    Raises:
        JobCancelled: the job was stopped meanwhile.
    """
    locks = images_directory(context) / "locks"
    locks.mkdir(mode=0o700, exist_ok=True)
    lock = EntryLock(locks / f"{hashlib.sha256(reference.encode()).hexdigest()}.lock")
    try:
        while not lock.try_exclusive():
            context.progress("waiting for another job that builds the same image")
            context.wait(_LOOK_AGAIN_SECONDS)
        yield
    finally:
        lock.close()
