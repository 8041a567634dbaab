"""Contents on disk, each under the SHA-256 of its bytes. Owns the directory; a content is there whole or not at all."""

import asyncio
import base64
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from launchd.server.errors import Refused, StoreUnavailable

_BUFFER = 1024 * 1024


class Content(msgspec.Struct, frozen=True):
    """What was stored: SHA-256 in hex, MD5 in base64, size in bytes."""

    sha256: str
    md5: str
    size: int


class ContentStore:
    """Contents under `directory`: `<two digits>/<sha256>`, and `incoming/` for those that are still being received."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._incoming = directory / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for left in self._incoming.iterdir():
            left.unlink()

    def path(self, sha256: str) -> Path:
        """Where the content is, or would be."""
        return self._directory / sha256[:2] / sha256

    async def receive(self, chunks: AsyncIterator[bytes], md5: str | None) -> Content:
        """Store what arrives, if its MD5 (base64) is the expected one (None: any); it is on disk when this returns.

        Raises:
            Refused: too big, or another content than promised. Nothing is left of it.
            StoreUnavailable: the disk is full or failed. Nothing is left of it.
        """
        try:
            descriptor, name = await asyncio.to_thread(tempfile.mkstemp, dir=self._incoming)
        except OSError as error:
            raise _disk_failed(error) from error
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                incoming = _Incoming(file, self._max_bytes)
                await _drain(chunks, incoming)
                content = incoming.finish(md5)
                await asyncio.to_thread(self._keep, file, Path(name), content)
            return content
        except OSError as error:
            raise _disk_failed(error) from error
        finally:
            await asyncio.to_thread(Path(name).unlink, missing_ok=True)

    def _keep(self, file: BinaryIO, received: Path, content: Content) -> None:
        os.fsync(file.fileno())
        place = self.path(content.sha256)
        place.parent.mkdir(exist_ok=True)
        received.rename(place)
        for directory in (place.parent, self._directory):
            _sync_directory(directory)


class _Incoming:
    """One file on its way in."""

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._max_bytes:
            raise Refused(f"The file is bigger than {self._max_bytes} bytes, the most this server takes.")
        self._md5.update(data)
        self._sha256.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self, md5: str | None) -> Content:
        found = base64.b64encode(self._md5.digest()).decode()
        if md5 is not None and found != md5:
            raise Refused(f"The content does not match its digest: MD5 {md5!r} was promised, {found!r} has arrived.")
        return Content(self._sha256.hexdigest(), found, self._size)


async def _drain(chunks: AsyncIterator[bytes], incoming: _Incoming) -> None:
    """Write in another thread, and in pieces that are worth the trip there."""
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
