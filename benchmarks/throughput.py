"""How many jobs a host does per second when each does nothing, with every state on disk."""

import time
from pathlib import Path

from benchmarks.limits import COMMAND, bare_chain
from benchmarks.table import Figure
from benchmarks.waiting import Finished
from tests.support.testbed import make_testbed

AT_ONCE = 8
JOBS = 400


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return durable no-op jobs per second beside the bare chain's."""
    chain = bare_chain(directory, at_once=AT_ONCE)
    with make_testbed(directory, max_jobs=AT_ONCE, launchd={"supervision": {"spare_workers": 2}}) as opened:
        for _ in range(JOBS):
            opened.push(COMMAND)
        opened.start_agent()
        before = time.perf_counter()
        Finished(opened, of_all=True).wait(JOBS)
        ours = JOBS / (time.perf_counter() - before)
    return [
        Figure(
            f"durable no-op jobs per second, {AT_ONCE} at once",
            f"{ours:.0f}/s ({ours / chain:.2f} of the chain)",
            "at least half of the bare chain",
            f"{chain:.0f}/s",
            ours >= chain / 2,
        )
    ]
