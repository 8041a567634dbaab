"""Waiting for something to become true, with a deadline and a name for what it was."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Between two looks.
INTERVAL_SECONDS = 0.02


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, what: str = "it") -> T:
    """Return the first true value of ``predicate``; raises ``TimeoutError`` after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout:g} s")
        time.sleep(INTERVAL_SECONDS)
    return value


def assert_stays(predicate: Callable[[], object], seconds: float, what: str = "it") -> None:
    """Look again and again for ``seconds`` and fail as soon as ``predicate`` is no longer true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert predicate(), f"{what} did not stay so"
        time.sleep(INTERVAL_SECONDS)
