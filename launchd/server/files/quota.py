"""How many bytes the contents of one server may take. Owns the count; measures nothing itself."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from launchd.server.errors import Refused


class Reservation:
    """Bytes of one upload. Given back at its end, unless they are kept."""

    def __init__(self, quota: "StorageQuota") -> None:
        self._quota = quota
        self.size = 0

    def reserve(self, size: int) -> None:
        """Count more bytes. Raises `Refused` where there is no room for them."""
        self._quota.add(size)
        self.size += size

    def commit(self) -> None:
        """The bytes are stored now."""
        self.size = 0


class StorageQuota:
    """Counts what is stored and what is on its way. `limit`: bytes; None: none is kept to. For any thread."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """Bytes that are stored or on their way."""
        return self._used

    def set_used(self, used: int) -> None:
        """What was measured takes the place of what was counted."""
        with self._lock:
            self._used = used

    def add(self, size: int) -> None:
        """Count bytes; `check` of them before.

        Raises:
            Refused: there is no room for them.
        """
        with self._lock:
            self._check(size)
            self._used += size

    def check(self, size: int) -> None:
        """Raises `Refused` where there is no room for so many bytes."""
        with self._lock:
            self._check(size)

    def release(self, size: int) -> None:
        """So many bytes are not stored any more."""
        with self._lock:
            self._used = max(0, self._used - size)

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Bytes of one upload, given back on the way out unless they were kept."""
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
