"""Many containers at once, and loud ones: all finish, nothing else is disturbed, and the supervisor stays small."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipc.settings import MIB
from tests.support.compiled import compile_sources
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.processes import private_bytes
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.engine

CONTAINERS = 50
SUPERVISOR_MIB, WORKER_MIB = 42, 6.2

#: Says that it runs, and waits for a file.
WAITING = 'echo "$LAUNCHD_JOB_NAME" >> /shared/runs; until [ -e /shared/gate ]; do sleep 0.5; done; echo done'


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine, shared: Path) -> Iterator[Testbed]:
    settings = {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"], "containers": {"mounts": [f"{shared}:rw"]}},
        "jobs": {"stop_grace_seconds": 1.0, "output_max_bytes": MIB, "output_files": 2},
        "supervision": {},
    }
    with make_testbed(tmp_path, account, max_jobs=CONTAINERS, launchd=settings) as opened:
        yield opened
    engine.remove_containers()


def push(testbed: Testbed, script: str, **args: Any) -> str:
    return testbed.push(
        *("sh", "-c", script),
        resource="local-container",
        docker={"docker_image": BASE_IMAGE},
        resource_args={"local-container": args},
    )


def running(testbed: Testbed) -> int:
    return sum(job["phase"] == "running" for job in testbed.status()["jobs"])


@pytest.mark.timeout(400)
def test_fifty_containers_at_once_all_finish_and_the_agent_stays_small(
    testbed: Testbed, engine: TestEngine, shared: Path
) -> None:
    compile_sources()
    agent = testbed.start_agent()
    items = [push(testbed, WAITING, volume=f"{shared}:/shared") for _ in range(CONTAINERS)]
    wait_until(lambda: running(testbed) == CONTAINERS, 200, "all jobs run")
    wait_until(lambda: len((shared / "runs").read_text().split()) == CONTAINERS, 60, "all containers have begun")

    supervisor = psutil.Process(agent.pid).memory_info().rss / MIB
    workers = [private_bytes(job["worker_pid"]) / MIB for job in testbed.status()["jobs"]]
    (shared / "gate").touch()

    assert {item.state for item in testbed.wait_over(items, 120)} == {"FINISHED"}
    assert len(set((shared / "runs").read_text().split())) == CONTAINERS
    wait_until(lambda: engine.containers() == {}, 30, "no container is left")
    print(f"supervisor {supervisor:.1f} MiB; workers {min(workers):.2f} to {max(workers):.2f} MiB of their own")  # noqa: T201 (figures)
    assert supervisor <= SUPERVISOR_MIB
    assert max(workers) <= WORKER_MIB, f"{max(workers):.1f} MiB"


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_minute_of_output_as_fast_as_it_comes_disturbs_nothing(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    loud = push(testbed, f"timeout 60 yes {'0123456789' * 10} | cat; echo the end")
    wait_until(lambda: running(testbed) == 1, 60, "the loud job runs")
    process = psutil.Process(agent.pid)
    before = process.memory_info().rss

    began = time.monotonic()
    quiet = [push(testbed, "echo quiet") for _ in range(5)]
    assert {item.state for item in testbed.wait_over(quiet, 60)} == {"FINISHED"}
    assert time.monotonic() - began < 60
    [over] = testbed.wait_over([loud], 200)

    assert over.state == "FINISHED"
    directory = testbed.state_dir / "jobs" / str(testbed.job(loud)["workload_name"])
    assert (directory / "output.log").read_text().endswith("the end\n")
    assert sum(path.stat().st_size for path in directory.glob("output.log*")) <= 2 * MIB
    assert process.memory_info().rss - before < 4 * MIB
