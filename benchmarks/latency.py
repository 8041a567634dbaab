"""Latency: from the push of a job to its first instruction, and from the end of one job to the start of the next."""

import time
from itertools import pairwise
from pathlib import Path

from benchmarks.baselines import bare_start
from benchmarks.finished_jobs import FinishedJobs
from benchmarks.table import Figure, milliseconds, percentile
from tests.support.testbed import Testbed, make_testbed

#: The job prints the time at which it began; its own start-up is part of the figures.
CLOCK = ("/bin/date", "+%s.%N")

JOBS = 200


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the times of pickup and turnaround."""
    baseline = milliseconds(bare_start(directory))
    with make_testbed(directory, max_jobs=1, launchd={"supervision": {}}) as testbed:
        testbed.start_agent()
        pickups = _pickups(testbed)
        turnarounds = _turnarounds(testbed)
    return [
        Figure(
            "enqueue → first instruction, idle agent",
            milliseconds(pickups),
            "p50 ≤ 25 ms, p99 ≤ 80 ms",
            baseline,
            percentile(pickups, 50) <= 0.025 and percentile(pickups, 99) <= 0.080,
        ),
        Figure(
            "slot turnaround: exit → next job's first instruction",
            milliseconds(turnarounds),
            "p99 ≤ 80 ms",
            baseline,
            percentile(turnarounds, 99) <= 0.080,
        ),
    ]


def _pickups(testbed: Testbed) -> list[float]:
    return [_pickup(testbed) for _ in range(JOBS)]


def _pickup(testbed: Testbed) -> float:
    finished = FinishedJobs(testbed)
    pushed_at = time.time()
    item_id = testbed.push(*CLOCK)
    finished.wait(1)
    return _began_at(testbed, item_id) - pushed_at


def _turnarounds(testbed: Testbed) -> list[float]:
    # With one slot a job begins after the end of the one before, so the time between two starts is run plus turnaround.
    finished = FinishedJobs(testbed)
    items = [testbed.push("/bin/sleep", "5"), *(testbed.push(*CLOCK) for _ in range(JOBS))]
    finished.wait(len(items))
    began = sorted(_began_at(testbed, item_id) for item_id in items[1:])
    return [after - before for before, after in pairwise(began)]


def _began_at(testbed: Testbed, item_id: str) -> float:
    return float(Path(testbed.job(item_id)["log_path"]).read_text())
