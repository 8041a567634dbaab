"""Waits for jobs without using much of the processor time that they need."""

import time

from tests.support.testbed import Testbed

#: Between two reads of the agent's counters. Asking the queue server for each item would cost more than the jobs.
INTERVAL_SECONDS = 0.2


class FinishedJobs:
    """Counts the jobs that finish from now on, or with ``since_start`` since the agent started."""

    def __init__(self, testbed: Testbed, *, since_start: bool = False) -> None:
        self._testbed = testbed
        self._before = 0 if since_start else self._count()

    def wait(self, jobs: int, timeout: float = 180.0, interval: float = INTERVAL_SECONDS) -> None:
        """Wait until ``jobs`` jobs have finished; raises ``TimeoutError`` after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self._count() - self._before < jobs:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{jobs} jobs did not finish within {timeout:g} s ({self._testbed.agent_log})")
            time.sleep(interval)

    def _count(self) -> int:
        return int(self._testbed.status()["counters"].get("finished", 0))
