"""Which images were brought to this host for jobs, and when each was used last: a file for each name, in ``images``.

A worker holds the file of its job's image, by a lock that ends with the worker, from before it looks for the image
until its container has it; what clears up takes the lock first. Nothing else tells whether an image is the agent's.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

#: In the agent's state directory.
IMAGES_DIRECTORY = "images"


class ImageRecord(msgspec.Struct, frozen=True):
    """The image called ``reference``; ``ids`` are the images that were pulled or built under this name for jobs."""

    reference: str
    ids: tuple[str, ...] = ()


_decoder = msgspec.json.Decoder(ImageRecord)


class HeldImage:
    """The record of an image that this process uses; it is held until :meth:`release`, or the end of the process."""

    def __init__(self, descriptor: int, reference: str) -> None:
        self._descriptor: int | None = descriptor
        self._reference = reference

    def note(self, image_id: str) -> None:
        """Note that the image was pulled or built for a job; a disk that is full keeps it from being removed."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            record = _read(self._descriptor) or ImageRecord(self._reference)
            if image_id not in record.ids:
                _write(self._descriptor, ImageRecord(self._reference, (*record.ids, image_id)))

    def release(self) -> None:
        """Let the image be removed again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def hold(state_dir: str, reference: str) -> HeldImage | None:
    """Hold the record of the image, which is made where there is none; ``None`` where the disk refuses that."""
    directory = Path(state_dir, IMAGES_DIRECTORY)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        descriptor = _locked(_path(directory, reference))
        os.utime(descriptor)
    except OSError:
        return None
    return HeldImage(descriptor, reference)


def _path(directory: Path, reference: str) -> str:
    # A text: see `ipc.work_order`.
    return f"{directory}/{hashlib.sha256(reference.encode()).hexdigest()[:32]}.json"


def _locked(path: str) -> int:
    """Return a descriptor of the file, which is there, with a lock that it shares with other workers."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return descriptor
        # It was removed while this process waited.
        os.close(descriptor)


class UsedImage(msgspec.Struct, frozen=True):
    """A record as it is found: its file, and when the image was used last, in seconds since the epoch."""

    path: str
    record: ImageRecord
    used_at: float


def used_images(state_dir: str) -> list[UsedImage]:
    """Return the records of the images, the one that was used least recently first; without those that are broken."""
    found = []
    for path in Path(state_dir, IMAGES_DIRECTORY).glob("*.json"):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                record = _read(descriptor)
                if record is not None:
                    found.append(UsedImage(str(path), record, os.fstat(descriptor).st_mtime))
            finally:
                os.close(descriptor)
    return sorted(found, key=lambda used: used.used_at)


@contextmanager
def unused(used: UsedImage) -> Iterator[bool]:
    """Yield whether no worker holds the record; until the end of the block none can."""
    try:
        descriptor = os.open(used.path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield os.fstat(descriptor).st_nlink > 0
    finally:
        os.close(descriptor)


def forget(used: UsedImage) -> None:
    """Remove the record, within :func:`unused`: what it was about is gone."""
    with suppress(OSError):
        os.unlink(used.path)  # noqa: PTH108 (a text, see above)


def _read(descriptor: int) -> ImageRecord | None:
    data = os.pread(descriptor, 1 << 20, 0)
    try:
        return _decoder.decode(data) if data else None
    except msgspec.DecodeError:
        return None


def _write(descriptor: int, record: ImageRecord) -> None:
    data = msgspec.json.encode(record)
    os.pwrite(descriptor, data, 0)
    os.ftruncate(descriptor, len(data))
