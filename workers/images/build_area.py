"""The directory with the files of one build: made empty, and gone afterwards, also where its worker dies in between.

A build holds a lock on its directory; what has no holder any more was left by a worker that was killed, and the next
build removes it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipc.file_locks import is_held
from ipc.trees import remove_tree
from workers.context import JobContext

_AREAS = "areas"
_LOCK = "areas.lock"
_ABANDONED = ".old"


def images_directory(context: JobContext) -> Path:
    """Return the directory of this host for what concerns images, which is made if it is missing."""
    path = context.directory.parent.parent / "images"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


@contextmanager
def open_build_area(context: JobContext) -> Iterator[Path]:
    """Make an empty directory for one build; it is removed with the block's end.

    Raises:
        OSError: the disk refuses it.
    """
    images = images_directory(context)
    path = images / _AREAS / context.order.name
    with _locked(images / _LOCK):
        abandoned = list(_set_aside(images / _AREAS))
        path.mkdir(mode=0o700, parents=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        for old in abandoned:
            remove_tree(old)
        yield path
    finally:
        problem = remove_tree(path)
        os.close(descriptor)
        if problem is not None:
            context.warn(f"The files of the image's build could not be removed: {problem}.", "build")


def _set_aside(areas: Path) -> Iterator[Path]:
    """Rename the directories that no build holds, and yield them."""
    if not areas.is_dir():
        return
    for path in sorted(areas.iterdir()):
        if _is_free(path):
            yield path if path.suffix == _ABANDONED else path.rename(path.with_name(f"{path.name}{_ABANDONED}"))


def _is_free(path: Path) -> bool:
    try:
        return not is_held(path)
    except FileNotFoundError:
        # Its build has ended just now.
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Held for a few renames alone.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
