"""The time, as the parts that decide about jobs read it; tests bring a clock of their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks, both in seconds."""

    def now(self) -> float:
        """Return the wall-clock time since the epoch: for records and for people."""
        ...

    def monotonic(self) -> float:
        """Return a time that never jumps: for deadlines and pauses."""
        ...


class SystemClock:
    """The clocks of this host."""

    def now(self) -> float:
        """Return the wall-clock time since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return a time that never jumps."""
        return time.monotonic()
