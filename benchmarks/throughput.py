"""Throughput: no-op jobs per second on one host, with every state on disk."""

import time
from pathlib import Path

from benchmarks.baselines import COMMAND, bare_chain
from benchmarks.finished_jobs import FinishedJobs
from benchmarks.table import Figure
from tests.support.testbed import make_testbed

AT_ONCE = 8
JOBS = 400


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return durable no-op jobs per second beside those of the bare chain."""
    chain = bare_chain(directory, at_once=AT_ONCE)
    with make_testbed(directory, max_jobs=AT_ONCE, launchd={"supervision": {"spare_workers": 2}}) as testbed:
        for _ in range(JOBS):
            testbed.push(COMMAND)
        testbed.start_agent()
        before = time.perf_counter()
        FinishedJobs(testbed, since_start=True).wait(JOBS)
        rate = JOBS / (time.perf_counter() - before)
    return [
        Figure(
            f"durable no-op jobs per second, {AT_ONCE} at once",
            f"{rate:.0f}/s ({rate / chain:.2f} of the chain)",
            "at least half of the bare chain",
            f"{chain:.0f}/s",
            rate >= chain / 2,
        )
    ]
