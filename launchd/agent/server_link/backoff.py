"""How often an idle agent asks a server that cannot hold a question open.

Pure: no clock, no socket. After a job there is often another, so the pauses start short and grow; their longest is
that of W&B's agent, unless the server asks for more.
"""

import random

FIRST_PAUSE_SECONDS = 1.0
GROWTH = 1.5

#: Pauses are drawn from this part of their length, so that agents do not stay in step.
JITTER = (0.8, 1.0)


class Backoff:
    """The pauses of one loop; ``longest`` is in seconds."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._pause = min(FIRST_PAUSE_SECONDS, longest)

    def reset(self) -> None:
        """Start over with short pauses: something has happened."""
        self._pause = min(FIRST_PAUSE_SECONDS, self._longest)

    def next_pause(self) -> float:
        """Return the seconds to wait after a look that found nothing."""
        pause = self._pause
        self._pause = min(pause * GROWTH, self._longest)
        return pause * random.uniform(*JITTER)  # noqa: S311 - nobody gains by guessing it
