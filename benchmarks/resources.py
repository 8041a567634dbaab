"""Memory and processor time of the supervisor and its workers."""

import time
from pathlib import Path

import psutil

from benchmarks.baselines import COMMAND, interpreter_memory
from benchmarks.finished_jobs import FinishedJobs
from benchmarks.table import Figure, mebibytes
from tests.support.processes import private_bytes
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: Jobs before the growth of memory is measured: by then caches and allocator have reached their size.
WARM_UP_JOBS = 200

BATCH = 200
RUNNING_JOBS = 100

#: The time over which the use of the processor is measured.
CPU_SAMPLE_SECONDS = 20.0


def measure_memory(directory: Path, jobs: int) -> list[Figure]:
    """Return the supervisor's resident memory when idle, and its growth over ``jobs`` jobs."""
    baseline = mebibytes(interpreter_memory())
    with make_testbed(directory, max_jobs=8, launchd={"supervision": {}}) as testbed:
        agent = psutil.Process(testbed.start_agent().pid)
        _run_jobs(testbed, WARM_UP_JOBS)
        idle = agent.memory_info().rss
        _run_jobs(testbed, jobs)
        growth = agent.memory_info().rss - idle
    return [
        Figure("supervisor's resident memory, idle", mebibytes(idle), "≤ 42 MiB", baseline, idle <= 42 * 2**20),
        Figure(f"its growth over {jobs} jobs", mebibytes(growth), "≤ 1 MiB", "—", growth <= 2**20),
    ]


def measure_cpu(directory: Path, _jobs: int) -> list[Figure]:
    """Return the supervisor's processor time, idle and with running jobs, and the private memory of a worker."""
    with make_testbed(directory, max_jobs=RUNNING_JOBS, launchd={"supervision": {}}) as testbed:
        agent = psutil.Process(testbed.start_agent().pid)
        idle = _core_share(agent)
        items = [testbed.push("/bin/sleep", "600") for _ in range(RUNNING_JOBS)]
        wait_until(lambda: _running(testbed) == RUNNING_JOBS, timeout=120, what="all jobs run")
        busy = _core_share(agent)
        private = _max_private_memory(testbed)
        for item_id in items:
            testbed.ask(command="stop", item=item_id)
        testbed.wait_over(items, timeout=60)
    return [
        Figure("supervisor's CPU, idle", f"{idle:.2%} of a core", "≤ 0.2 %", "—", idle <= 0.002),
        Figure(f"supervisor's CPU, {RUNNING_JOBS} running jobs", f"{busy:.2%} of a core", "≤ 2 %", "—", busy <= 0.02),
        Figure("private memory per running worker", mebibytes(private), "≤ 6 MiB", "—", private <= 6 * 2**20),
    ]


def _run_jobs(testbed: Testbed, count: int) -> None:
    for _ in range(0, count, BATCH):
        finished = FinishedJobs(testbed)
        batch = [testbed.push(COMMAND) for _ in range(min(BATCH, count))]
        finished.wait(len(batch))


def _running(testbed: Testbed) -> int:
    return sum(job["phase"] == "running" for job in testbed.status()["jobs"])


def _core_share(process: psutil.Process) -> float:
    before, began = process.cpu_times(), time.monotonic()
    time.sleep(CPU_SAMPLE_SECONDS)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / (time.monotonic() - began)


def _max_private_memory(testbed: Testbed) -> float:
    pids = [job["worker_pid"] for job in testbed.status()["jobs"]]
    return max(map(private_bytes, pids))
