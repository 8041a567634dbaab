"""Growing pauses between attempts.

Pure: no clock, no thread, no socket. Each caller measures and waits by itself.
"""

import random

#: From this many failures on the pause grows no more; it keeps the power below within a float.
_MOST_GROWTHS = 64


class Backoff:
    """Pauses in seconds that start with ``first`` and grow by the factor ``growth`` up to ``longest``.

    ``jitter`` is the range of the factor by which each pause is changed at random, so that agents which lost the same
    server do not come back in step; the default changes nothing.
    """

    def __init__(
        self, first: float, longest: float, *, growth: float = 2.0, jitter: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        self._first = first
        self._longest = longest
        self._growth = growth
        self._jitter = jitter
        self._failures = 0

    def reset(self) -> None:
        """Start again with the shortest pause, after a success."""
        self._failures = 0

    def next_pause(self) -> float:
        """Return the pause after one more failure."""
        pause = self.pause_after(self._failures)
        self._failures += 1
        return pause * random.uniform(*self._jitter)  # noqa: S311 - a guessed pause does no harm

    def pause_after(self, failures: int) -> float:
        """Return the pause after this many earlier failures, without jitter; changes nothing."""
        return min(self._first * self._growth ** min(failures, _MOST_GROWTHS), self._longest)
