"""How long a job waits: from the push to its first instruction, and from one job's end to the next one's start."""

import time
from itertools import pairwise
from pathlib import Path

from benchmarks.limits import bare_start
from benchmarks.table import Figure, milliseconds, percentile
from benchmarks.waiting import Finished
from tests.support.testbed import Testbed, make_testbed

#: The job says when it began; its own start-up counts against us.
CLOCK = ("/bin/date", "+%s.%N")

JOBS = 200


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return pickup and turnaround."""
    limit = milliseconds(bare_start(directory))
    with make_testbed(directory, max_jobs=1, launchd={"supervision": {}}) as opened:
        opened.start_agent()
        pickups = _pickups(opened)
        turnarounds = _turnarounds(opened)
    return [
        Figure(
            "enqueue → first instruction, idle agent",
            milliseconds(pickups),
            "p50 ≤ 25 ms, p99 ≤ 80 ms",
            limit,
            percentile(pickups, 50) <= 0.025 and percentile(pickups, 99) <= 0.080,
        ),
        Figure(
            "slot turnaround: exit → next job's first instruction",
            milliseconds(turnarounds),
            "p99 ≤ 80 ms",
            limit,
            percentile(turnarounds, 99) <= 0.080,
        ),
    ]


def _pickups(opened: Testbed) -> list[float]:
    return [_pickup(opened) for _ in range(JOBS)]


def _pickup(opened: Testbed) -> float:
    finished = Finished(opened)
    pushed_at = time.time()
    item_id = opened.push(*CLOCK)
    finished.wait(1)
    return _began_at(opened, item_id) - pushed_at


def _turnarounds(opened: Testbed) -> list[float]:
    # One slot: the next job begins after this one's end, so start to start is its run and the turnaround.
    finished = Finished(opened)
    items = [opened.push("/bin/sleep", "5"), *(opened.push(*CLOCK) for _ in range(JOBS))]
    finished.wait(len(items))
    began = sorted(_began_at(opened, item_id) for item_id in items[1:])
    return [after - before for before, after in pairwise(began)]


def _began_at(opened: Testbed, item_id: str) -> float:
    return float(Path(opened.job(item_id)["log_path"]).read_text())
