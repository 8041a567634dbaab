"""The rate limit of a server: its RateLimit headers, read as W&B's clients read them.

Pure but for the clock; one value per server, shared by all threads that send requests to it.
"""

import math
import time
from collections.abc import Mapping

#: The least and the most seconds between two requests, as in W&B's clients.
SHORTEST_SPACING_SECONDS = 1 / 65536
LONGEST_SPACING_SECONDS = 10.0


class RateLimit:
    """The limit in the last response: requests left (`RateLimit-Remaining`), and until when (`RateLimit-Reset`)."""

    def __init__(self) -> None:
        self._spacing = 0.0
        self._ends_at = 0.0

    def update(self, headers: Mapping[str, str]) -> None:
        """Read the headers of a response; one without both of them, or with other values than numbers, is ignored."""
        remaining, reset = _number(headers.get("RateLimit-Remaining")), _number(headers.get("RateLimit-Reset"))
        if remaining is None or reset is None:
            return
        spacing = reset / remaining if remaining else LONGEST_SPACING_SECONDS
        self._spacing = min(max(spacing, SHORTEST_SPACING_SECONDS), LONGEST_SPACING_SECONDS)
        self._ends_at = time.monotonic() + reset

    def spacing(self) -> float:
        """Return the seconds that two requests should be apart; 0 where the server sets no limit."""
        return self._spacing if time.monotonic() < self._ends_at else 0.0


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if number >= 0 and math.isfinite(number) else None
