"""What the supervisor and its workers take: memory and processor time."""

import time
from pathlib import Path

import psutil

from benchmarks.limits import COMMAND, interpreter_memory
from benchmarks.table import Figure, mebibytes
from benchmarks.waiting import Finished
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: Jobs before the memory's growth is measured: caches and allocator have their size by then.
WARM_UP_JOBS = 200

BATCH = 200
MANY = 100

#: How long the processor time is measured over.
MEASURED_SECONDS = 20.0


def measure_memory(directory: Path, jobs: int) -> list[Figure]:
    """Return the supervisor's resident memory, idle and after many jobs."""
    limit = mebibytes(interpreter_memory())
    with make_testbed(directory, max_jobs=8, launchd={"supervision": {}}) as opened:
        agent = psutil.Process(opened.start_agent().pid)
        _run_jobs(opened, WARM_UP_JOBS)
        idle = agent.memory_info().rss
        _run_jobs(opened, jobs)
        growth = agent.memory_info().rss - idle
    return [
        Figure("supervisor's resident memory, idle", mebibytes(idle), "≤ 42 MiB", limit, idle <= 42 * 2**20),
        Figure(f"its growth over {jobs} jobs", mebibytes(growth), "≤ 1 MiB", "—", growth <= 2**20),
    ]


def measure_cpu(directory: Path, _jobs: int) -> list[Figure]:
    """Return the supervisor's processor time, idle and with many running jobs, and a running worker's own memory."""
    with make_testbed(directory, max_jobs=MANY, launchd={"supervision": {}}) as opened:
        agent = psutil.Process(opened.start_agent().pid)
        idle = _share_of_a_core(agent)
        items = [opened.push("/bin/sleep", "600") for _ in range(MANY)]
        wait_until(lambda: _running(opened) == MANY, timeout=120, what="all jobs run")
        busy = _share_of_a_core(agent)
        private = _private_memory(opened)
        for item_id in items:
            opened.ask(command="stop", item=item_id)
        opened.wait_over(items, timeout=60)
    return [
        Figure("supervisor's CPU, idle", f"{idle:.2%} of a core", "≤ 0.2 %", "—", idle <= 0.002),
        Figure(f"supervisor's CPU, {MANY} running jobs", f"{busy:.2%} of a core", "≤ 2 %", "—", busy <= 0.02),
        Figure("private memory per running worker", mebibytes(private), "≤ 6 MiB", "—", private <= 6 * 2**20),
    ]


def _run_jobs(opened: Testbed, count: int) -> None:
    for _ in range(0, count, BATCH):
        finished = Finished(opened)
        batch = [opened.push(COMMAND) for _ in range(min(BATCH, count))]
        finished.wait(len(batch))


def _running(opened: Testbed) -> int:
    return sum(job["phase"] == "running" for job in opened.status()["jobs"])


def _share_of_a_core(process: psutil.Process) -> float:
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(MEASURED_SECONDS)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


def _private_memory(opened: Testbed) -> float:
    pids = [job["worker_pid"] for job in opened.status()["jobs"]]
    return max(psutil.Process(pid).memory_full_info().uss for pid in pids)
