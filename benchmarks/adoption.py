"""Adoption time: how long a new supervisor takes to adopt all running jobs of a killed one."""

import time
from pathlib import Path

from benchmarks.table import Figure
from tests.support.testbed import make_testbed
from tests.support.waiting import wait_until

JOBS = 64


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the seconds from the start of the new agent until a worker has adopted every job."""
    with make_testbed(directory, max_jobs=JOBS) as testbed:
        agent = testbed.start_agent()
        items = [testbed.push("/bin/sleep", "120") for _ in range(JOBS)]
        wait_until(lambda: _running(testbed.status()) == JOBS, timeout=60, what="all jobs run")
        agent.kill()
        before = time.perf_counter()
        testbed.start_agent()
        wait_until(lambda: testbed.status()["counters"].get("adopted") == JOBS, timeout=60, what="all jobs are adopted")
        seconds = time.perf_counter() - before
        for item_id in items:
            testbed.ask(command="stop", item=item_id)
        testbed.wait_over(items, timeout=60)
    return [
        Figure(
            f"a SIGKILLed supervisor with {JOBS} running jobs: all adopted",
            f"{seconds:.2f} s, its own start included",
            "≤ 2 s",
            "—",
            seconds <= 2.0,
        )
    ]


def _running(status: dict[str, list[dict[str, str]]]) -> int:
    return sum(job["phase"] == "running" for job in status["jobs"])
