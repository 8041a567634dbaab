"""The time, as the parts that decide about jobs read it; tests bring a clock of their own."""

import time
from typing import Protocol

from ipc.boot_clock import BootMoment, boot_id, boot_seconds


class Clock(Protocol):
    """Three clocks, all in seconds."""

    def now(self) -> float:
        """Return the wall-clock time since the epoch: for records and for people."""
        ...

    def monotonic(self) -> float:
        """Return a time that never jumps: for deadlines and pauses."""
        ...

    def boot(self) -> BootMoment:
        """Return the time since the host's boot: for ages that are kept on disk."""
        ...


class SystemClock:
    """The clocks of this host."""

    def now(self) -> float:
        """Return the wall-clock time since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return a time that never jumps."""
        return time.monotonic()

    def boot(self) -> BootMoment:
        """Return the time since the host's boot."""
        return BootMoment(boot_id(), boot_seconds())
