"""Waiting for something to become true, with a deadline and a name for what it was."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Between two looks while something shall stay as it is.
INTERVAL_SECONDS = 0.02
#: Between two looks at something that is waited for, at first and at most.
FIRST_SECONDS, MOST_SECONDS = 0.005, 0.1


def patience(seconds: float) -> float:
    """Return ``seconds``, or more where more wants to run than there are processors: that is slow, and not wrong."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "it") -> T:
    """Return the first true value of ``predicate``.

    Raises ``TimeoutError`` after ``timeout`` seconds, on a busy machine later (:func:`patience`). Looks again after a
    tenth of the time that it has waited: a look is often a request, which keeps others from what is waited for.
    """
    begun = time.monotonic()
    while not (value := predicate()):
        if (waited := time.monotonic() - begun) > timeout and waited > patience(timeout):
            raise TimeoutError(f"{what} did not happen within {waited:.1f} s")
        time.sleep(min(max(waited / 10, FIRST_SECONDS), MOST_SECONDS))
    return value


def assert_stays(predicate: Callable[[], object], seconds: float, what: str = "it") -> None:
    """Look again and again for ``seconds`` and fail as soon as ``predicate`` is no longer true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate(), f"{what} did not stay so"
        time.sleep(INTERVAL_SECONDS)
