"""The quota: how many bytes the blobs of one server may take. Counts, but does not measure the disk."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from launchd.server.errors import Refused


class Reservation:
    """Bytes of one upload. Released at its end unless they were committed."""

    def __init__(self, quota: "StorageQuota") -> None:
        self._quota = quota
        self.size = 0

    def reserve(self, size: int) -> None:
        """Reserve more bytes. Raises `Refused` where there is no room for them."""
        self._quota.add(size)
        self.size += size

    def commit(self) -> None:
        """Keep the reserved bytes in the count, because they are stored."""
        self.size = 0


class StorageQuota:
    """Counts stored and incoming bytes against `limit` (None: no limit). Thread-safe."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes stored or incoming."""
        return self._used

    def set_used(self, used: int) -> None:
        """Replace the count by a measurement."""
        with self._lock:
            self._used = used

    def add(self, size: int) -> None:
        """Count bytes.

        Raises:
            Refused: there is no room for them.
        """
        with self._lock:
            self._check(size)
            self._used += size

    def check(self, size: int) -> None:
        """Raises `Refused` where there is no room for `size` more bytes."""
        with self._lock:
            self._check(size)

    def release(self, size: int) -> None:
        """Subtract bytes that are not stored any more."""
        with self._lock:
            self._used = max(0, self._used - size)

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """A reservation for one upload, released on the way out unless it was committed."""
        reserved = Reservation(self)
        try:
            yield reserved
        finally:
            self.release(reserved.size)

    def _check(self, size: int) -> None:
        if self._limit is not None and size and self._used + size > self._limit:
            raise Refused(
                f"The queue server's store is full: {self._used} of {self._limit} bytes are in use. Delete artifacts or"
                " runs that are not needed any more, or ask for more room (--max-store-bytes)."
            )
