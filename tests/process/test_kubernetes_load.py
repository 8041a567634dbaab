"""Many jobs in a cluster on one agent: what they ask of the API, and what memory they take.

The cluster is a stand-in that answers on a socket; it runs no pods, whose states the tests set.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.settings import MIB
from tests.support.compiled import compile_sources
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.processes import private_bytes
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

#: The most that a worker, and the supervisor, may have for themselves, in bytes.
WORKER_BYTES = int(6.3 * MIB)
SUPERVISOR_BYTES = 48 * MIB


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with fake_kubernetes() as running:
        running.runs_pods = False
        yield running


def open_testbed(directory: Path, account: Account, cluster: FakeKubernetes, jobs: int) -> Any:
    launchd: dict[str, Any] = {
        "kubernetes": {"config_file": str(cluster.write_config(directory / "kubeconfig"))},
        "policy": {"resources": ["kubernetes"]},
        # The machines of tests are slow, and hundreds of workers start at once.
        "supervision": {"fork_server_silence_seconds": 120.0, "worker_silence_seconds": 300.0},
    }
    return make_testbed(directory, account, max_jobs=jobs, launchd=launchd)


def push(testbed: Testbed) -> str:
    image = {"docker_image": "registry.example/train:1"}
    return testbed.push("true", resource="kubernetes", docker=image, resource_args={"kubernetes": {}})


def start_pods(cluster: FakeKubernetes) -> None:
    """Have a pod run for each Job that has none."""
    known = {pod["metadata"]["name"] for pod in cluster.objects("pods")}
    for job in cluster.objects("jobs"):
        name = f"{job['metadata']['name']}-0"
        if name not in known:
            cluster.silent.add(name)
            state = {"name": "launch0", "state": {"running": {}}, "restartCount": 0}
            cluster.create(
                ("default", "pods"),
                {
                    "metadata": {
                        "name": name,
                        "labels": job["metadata"]["labels"],
                        "ownerReferences": [{"uid": job["metadata"]["uid"]}],
                    },
                    "status": {"phase": "Running", "containerStatuses": [state]},
                },
            )


def end_jobs(cluster: FakeKubernetes) -> None:
    cluster.silent.clear()
    for job in cluster.objects("jobs"):
        cluster.change("jobs", job["metadata"]["name"], _complete)


def _complete(job: dict[str, Any]) -> None:
    job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}


def run_all(testbed: Testbed, cluster: FakeKubernetes, jobs: int, timeout: float) -> list[str]:
    compile_sources()
    testbed.start_agent()
    items = [push(testbed) for _ in range(jobs)]

    def running() -> bool:
        start_pods(cluster)
        return sum(job["phase"] == "running" for job in testbed.status()["jobs"]) == jobs

    wait_until(running, timeout, f"{jobs} jobs run")
    return items


def wait_all_over(testbed: Testbed, cluster: FakeKubernetes, items: list[str], timeout: float) -> None:
    end_jobs(cluster)
    wait_until(lambda: not testbed.status()["jobs"], timeout, "all jobs are over")
    assert {item.state for item in testbed.wait_over(items, timeout)} == {"FINISHED"}


def test_jobs_share_a_watch_and_workers_are_small(tmp_path: Path, account: Account, cluster: FakeKubernetes) -> None:
    with open_testbed(tmp_path, account, cluster, 8) as testbed:
        items = run_all(testbed, cluster, 8, 40)

        workers = [private_bytes(job["worker_pid"]) for job in testbed.status()["jobs"]]

        assert max(workers) <= WORKER_BYTES
        wait_all_over(testbed, cluster, items, 40)
        assert cluster.requests["watch"] == 2


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_five_hundred_jobs_ask_little_and_take_little(
    tmp_path: Path, account: Account, cluster: FakeKubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, seconds = 500, 180.0
    with open_testbed(tmp_path, account, cluster, jobs) as testbed:
        items = run_all(testbed, cluster, jobs, 900)
        # What comes with the starts is over.
        quiet = time.monotonic() + 90
        wait_until(lambda: time.monotonic() > quiet, 100, "the starts are over")
        before, since = sum(cluster.requests.values()), time.monotonic()
        wait_until(lambda: time.monotonic() - since > seconds, seconds + 20, "some minutes are over")
        asked = (sum(cluster.requests.values()) - before) / jobs / ((time.monotonic() - since) / 60)
        workers = sorted(private_bytes(job["worker_pid"]) for job in testbed.status()["jobs"])
        supervisor = private_bytes(testbed.agent_pid)
        ended = time.monotonic()
        wait_all_over(testbed, cluster, items, 300)
        with capsys.disabled():
            print(  # noqa: T201 (the figures are what it is run for)
                f"\n{jobs} jobs: {asked:.2f} requests per job and minute, {cluster.requests['watch']} watches; private "
                f"memory of a worker {workers[jobs // 2] / MIB:.2f} MiB, at most {workers[-1] / MIB:.2f}; of the "
                f"supervisor {supervisor / MIB:.1f} MiB; all ended {time.monotonic() - ended:.0f} s after their Jobs"
            )
        assert asked <= 2
        assert workers[-1] <= WORKER_BYTES
        assert supervisor <= SUPERVISOR_BYTES
