"""Blobs on disk, each under the SHA-256 of its bytes, stored completely or not at all."""

import asyncio
import base64
import fcntl
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from launchd.server.errors import Refused, StoreUnavailable
from launchd.server.files.quota import Reservation, StorageQuota
from launchd.server.private_files import make_private_directory, open_private

_BUFFER = 1024 * 1024
_SHARD_DIGITS = 2


class Blob(msgspec.Struct, frozen=True):
    """A stored blob: SHA-256 in hex, MD5 in base64, size in bytes."""

    sha256: str
    md5: str
    size: int


class BlobStore:
    """Blobs under `directory`: `<two digits>/<sha256>`, and `incoming/` for those that are still being received.

    Several servers may share the directory, and each may die at any time. So an incoming file is locked by its writer,
    and a shard, the blobs whose digests begin with the same two digits, has a lock in `locks/`: held shared while a
    blob is stored there until the database refers to it, held exclusively to remove blobs without a reference. The
    kernel releases the locks of a process that dies.
    """

    def __init__(self, directory: Path, max_bytes: int, quota: StorageQuota) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._quota = quota
        self._incoming = directory / "incoming"
        self._locks = directory / "locks"
        for part in (directory, self._incoming, self._locks):
            make_private_directory(part)
        self.remove_leftovers()

    def path(self, sha256: str) -> Path:
        """Path of the blob, whether or not it exists."""
        return self._directory / sha256[:2] / sha256

    @asynccontextmanager
    async def receiving(
        self, chunks: AsyncIterator[bytes], md5: str | None, announced: int | None = None
    ) -> AsyncIterator[Blob]:
        """Store what arrives, if its MD5 (base64) is the expected one (None: any). Inside, it is on disk.

        It is not removed while inside: the database must refer to it before the end. `announced`: bytes that will come.

        Raises:
                Refused: too big, no room, or not the promised content. Nothing is kept.
                StoreUnavailable: the disk is full or failed. Nothing is kept.
        """
        self._quota.check(announced or 0)
        with self._quota.reservation() as reservation:
            blob, shard = await self._receive(chunks, md5, reservation)
        try:
            yield blob
        finally:
            shard.close()

    @asynccontextmanager
    async def storing(self, contents: Sequence[tuple[bytes, str]]) -> AsyncIterator[list[Blob]]:
        """Store several small contents, each with its MD5, as `receiving` does one: all of them, or none is known.

        Raises as `receiving` does.
        """
        blobs, held = await asyncio.to_thread(self._store_all, contents)
        try:
            yield blobs
        finally:
            held.close()

    def _store_all(self, contents: Sequence[tuple[bytes, str]]) -> tuple[list[Blob], ExitStack]:
        blobs = []
        try:
            with ExitStack() as held:
                for content, md5 in contents:
                    blob, shard = self._store_one(content, md5)
                    held.enter_context(shard)
                    blobs.append(blob)
                for directory in {self.path(blob.sha256).parent for blob in blobs} | {self._directory}:
                    _sync_directory(directory)
                return blobs, held.pop_all()
        except OSError as error:
            raise _disk_failed(error) from error

    def _store_one(self, content: bytes, md5: str) -> tuple[Blob, IO[bytes]]:
        with self._quota.reservation() as reservation:
            file, path = self._open_incoming()
            try:
                with file:
                    incoming = _Incoming(file, self._max_bytes, reservation)
                    incoming.write(content)
                    blob = incoming.finish(md5)
                    return blob, self._place(file, path, blob, reservation)
            finally:
                path.unlink(missing_ok=True)

    async def _receive(
        self, chunks: AsyncIterator[bytes], md5: str | None, reservation: Reservation
    ) -> tuple[Blob, IO[bytes]]:
        try:
            file, path = await asyncio.to_thread(self._open_incoming)
        except OSError as error:
            raise _disk_failed(error) from error
        try:
            with file:
                incoming = _Incoming(file, self._max_bytes, reservation)
                await _drain(chunks, incoming)
                blob = incoming.finish(md5)
                return blob, await asyncio.to_thread(self._store, file, path, blob, reservation)
        except OSError as error:
            raise _disk_failed(error) from error
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def _open_incoming(self) -> tuple[BinaryIO, Path]:
        """A new file in `incoming/`, locked."""
        while True:
            descriptor, name = tempfile.mkstemp(dir=self._incoming)
            file = os.fdopen(descriptor, "wb", buffering=0)
            fcntl.flock(file, fcntl.LOCK_EX)
            # `remove_leftovers`, here or on another server, may have removed it before it was locked.
            if os.fstat(descriptor).st_nlink:
                return file, Path(name)
            file.close()

    def _store(self, file: BinaryIO, received: Path, blob: Blob, reservation: Reservation) -> IO[bytes]:
        """Move a received file into its place, for good. Returns the lock that keeps it there."""
        shard = self._place(file, received, blob, reservation)
        for directory in (self.path(blob.sha256).parent, self._directory):
            _sync_directory(directory)
        return shard

    def _place(self, file: BinaryIO, received: Path, blob: Blob, reservation: Reservation) -> IO[bytes]:
        """Move a received file into its place, which lasts once the directories are on disk. Returns the lock."""
        os.fsync(file.fileno())
        place = self.path(blob.sha256)
        shard = self._lock_of(place.parent.name)
        fcntl.flock(shard, fcntl.LOCK_SH)
        make_private_directory(place.parent)
        if not place.exists():
            reservation.commit()
        received.rename(place)
        return shard

    def _lock_of(self, shard: str) -> IO[bytes]:
        return open_private(self._locks / shard)

    def shards(self) -> list[str]:
        """Names of the shards."""
        return sorted(entry.name for entry in self._directory.iterdir() if len(entry.name) == _SHARD_DIGITS)

    def blobs_in(self, shard: str) -> dict[str, int]:
        """SHA-256 and size of each blob on a shard."""
        with os.scandir(self._directory / shard) as entries:
            return {entry.name: entry.stat().st_size for entry in entries}

    @contextmanager
    def exclusive_shard(self, shard: str) -> Iterator[bool]:
        """Inside, blobs may be removed from a shard. False: not now, because a blob is being stored there."""
        with self._lock_of(shard) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def without_removals(self) -> Iterator[None]:
        """Inside, no blob is removed, here or by another process; uploads go on. Takes an open file for each shard."""
        with ExitStack() as held:
            for number in range(16**_SHARD_DIGITS):
                shard = held.enter_context(self._lock_of(f"{number:0{_SHARD_DIGITS}x}"))
                fcntl.flock(shard, fcntl.LOCK_SH)
            yield

    def remove(self, sha256: str, size: int) -> None:
        """Remove a blob; only inside `exclusive_shard` of its shard."""
        self.path(sha256).unlink(missing_ok=True)
        self._quota.release(size)

    def remove_leftovers(self) -> int:
        """Remove what interrupted uploads left behind. Returns how many files."""
        return sum(map(_remove_if_unlocked, list(self._incoming.iterdir())))


def _remove_if_unlocked(path: Path) -> bool:
    """An unlocked file has no writer any more."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


class _Incoming:
    """One file that is being received."""

    def __init__(self, file: BinaryIO, max_bytes: int, reservation: Reservation) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._reserved = reservation
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_bytes:
            raise Refused(f"The file is bigger than {self._max_bytes} bytes, the most this server takes.")
        self._reserved.reserve(len(data))
        self._md5.update(data)
        self._sha256.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self, md5: str | None) -> Blob:
        found = base64.b64encode(self._md5.digest()).decode()
        if md5 is not None and found != md5:
            raise Refused(f"The content does not match its digest: MD5 {md5!r} was promised, {found!r} has arrived.")
        return Blob(self._sha256.hexdigest(), found, self._size)


async def _drain(chunks: AsyncIterator[bytes], incoming: _Incoming) -> None:
    """Write in another thread, in pieces large enough to be worth the switch."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= _BUFFER:
            await asyncio.to_thread(incoming.write, bytes(buffer))
            buffer.clear()
    if buffer:
        await asyncio.to_thread(incoming.write, bytes(buffer))


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk_failed(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"The queue server cannot write to its disk at present: {error.strerror}. Try again later.")
