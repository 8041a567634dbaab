"""How long a new supervisor takes to have all jobs of a killed one in its care again."""

import time
from pathlib import Path

from benchmarks.table import Figure
from tests.support.testbed import make_testbed
from tests.support.waiting import wait_until

JOBS = 64


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the seconds from the start of the new agent until every job has a worker that has found it."""
    with make_testbed(directory, max_jobs=JOBS) as opened:
        agent = opened.start_agent()
        items = [opened.push("/bin/sleep", "120") for _ in range(JOBS)]
        wait_until(lambda: _running(opened.status()) == JOBS, timeout=60, what="all jobs run")
        agent.kill()
        before = time.perf_counter()
        opened.start_agent()
        wait_until(lambda: opened.status()["counters"].get("adopted") == JOBS, timeout=60, what="all jobs are adopted")
        seconds = time.perf_counter() - before
        for item_id in items:
            opened.ask(command="stop", item=item_id)
        opened.wait_over(items, timeout=60)
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
