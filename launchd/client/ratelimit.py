"""How fast a server wants to be asked: its RateLimit headers, read as W&B's clients read them.

Pure but for the clock; one value per server, shared by all threads that ask it.
"""

import math
import time
from collections.abc import Mapping

#: The least and the most seconds between two requests, whatever the server says: those of W&B's clients.
SHORTEST_SPACING_SECONDS = 1 / 65536
LONGEST_SPACING_SECONDS = 10.0


class Allowance:
    """What the last answer said: how many requests are left (`RateLimit-Remaining`) until when (`RateLimit-Reset`)."""

    def __init__(self) -> None:
        self._spacing = 0.0
        self._ends_at = 0.0

    def note(self, headers: Mapping[str, str]) -> None:
        """Read the headers of an answer; without both of them, or with nonsense, nothing changes."""
        remaining, reset = _number(headers.get("RateLimit-Remaining")), _number(headers.get("RateLimit-Reset"))
        if remaining is None or reset is None:
            return
        spacing = reset / remaining if remaining else LONGEST_SPACING_SECONDS
        self._spacing = min(max(spacing, SHORTEST_SPACING_SECONDS), LONGEST_SPACING_SECONDS)
        self._ends_at = time.monotonic() + reset

    def spacing(self) -> float:
        """Return the seconds that two requests should be apart; 0 where the server says nothing."""
        return self._spacing if time.monotonic() < self._ends_at else 0.0


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 and math.isfinite(number) else None
