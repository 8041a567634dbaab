"""Waiting for jobs without taking the processor away from them."""

import time

from tests.support.testbed import Testbed

#: Between two looks at the agent's counters. Asking the queue server for each item would cost more than the jobs.
INTERVAL_SECONDS = 0.2


class Finished:
    """Counts the jobs that end well from now on, or with ``of_all`` since the agent started."""

    def __init__(self, opened: Testbed, *, of_all: bool = False) -> None:
        self._opened = opened
        self._before = 0 if of_all else self._count()

    def wait(self, jobs: int, timeout: float = 180.0, interval: float = INTERVAL_SECONDS) -> None:
        """Wait until ``jobs`` jobs have ended well; raises ``TimeoutError`` after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self._count() - self._before < jobs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{jobs} jobs did not end within {timeout:g} s ({self._opened.agent_log})")
            time.sleep(interval)

    def _count(self) -> int:
        return int(self._opened.status()["counters"].get("finished", 0))
