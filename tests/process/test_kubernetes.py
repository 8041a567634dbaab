"""Jobs in a cluster, from a queue to the end of their pods: real agent and queue server, and a stand-in for the API.

Exactly one Job exists for each attempt, and nothing is left behind, where worker or supervisor die in between.
"""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.cluster_rights import granted_kubernetes
from tests.support.deaths import assert_said_once, assert_started_once, deaths, run_with_a_death
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.pods import let_wait, make_pod
from tests.support.processes import children_of, command_line, is_gone, private_bytes
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

IMAGE = "registry.example/train:1"
SCRIPT = 'echo "$LAUNCHD_JOB_NAME" >> "$1"; for i in 1 2 3 4 5; do echo line $i; sleep "$2"; done'
LINES = "".join(f"line {number}\n" for number in range(1, 6))

#: In the short run: where a Job may exist and nobody knows yet, and where it has ended and nobody knows.
SHORT = ("worker.after_submit_approved", "worker.after_submit", "worker.ended")
#: The most private memory that a worker may have, in bytes.
MEMORY = 9 << 20


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with granted_kubernetes() as running:
        yield running


@pytest.fixture
def testbed(tmp_path: Path, account: Account, cluster: FakeKubernetes) -> Iterator[Testbed]:
    launchd: dict[str, Any] = {
        "kubernetes": {"config_file": str(cluster.write_config(tmp_path / "kubeconfig"))},
        "policy": {"resources": ["kubernetes"]},
        "jobs": {"stop_grace_seconds": 1.0},
        "supervision": QUICK,
    }
    with make_testbed(tmp_path, account, max_jobs=20, launchd=launchd) as opened:
        yield opened


def push(testbed: Testbed, pause: float, **manifest: Any) -> str:
    return testbed.push(
        "sh",
        "-c",
        SCRIPT,
        "job",
        str(testbed.directory / "runs"),
        str(pause),
        resource="kubernetes",
        docker={"docker_image": IMAGE},
        resource_args={"kubernetes": manifest},
    )


def output(testbed: Testbed, item_id: str) -> str:
    """Return the output of a job."""
    name = str(testbed.job(item_id)["workload_name"])
    return (testbed.state_dir / "jobs" / name / "output.log").read_text()


def assert_all_ran_once(testbed: Testbed, cluster: FakeKubernetes, items: list[str], timeout: float = 50) -> None:
    assert [item.state for item in testbed.wait_over(items, timeout)] == ["FINISHED"] * len(items)
    assert [output(testbed, item) for item in items] == [LINES] * len(items)
    names = (testbed.directory / "runs").read_text().split()
    assert len(names) == len({name.rpartition("-")[0] for name in names}) == len(items)
    assert_one_object_for_each_job(cluster)


def assert_one_object_for_each_job(cluster: FakeKubernetes) -> None:
    """There was one for each, and nothing is left of any."""
    assert {times for name, times in cluster.created.items() if name.startswith("jobs/")} == {1}
    for plural in ("jobs", "pods", "secrets"):
        wait_until(lambda: cluster.objects(plural) == [], 20, f"no {plural} are left")  # noqa: B023 - it is waited for


@pytest.mark.parametrize(("failpoint", "action"), list(deaths(SHORT)))
def test_any_process_may_die_anywhere(testbed: Testbed, cluster: FakeKubernetes, failpoint: str, action: str) -> None:
    over = run_with_a_death(testbed, failpoint, action, lambda seconds: push(testbed, seconds / 5))

    for item in over:
        assert item.state == "FAILED" or output(testbed, item.id) == LINES
    assert_started_once((testbed.directory / "runs").read_text().split())
    assert_one_object_for_each_job(cluster)
    assert_said_once(testbed, over)


def test_jobs_outlive_their_supervisor_and_workers_are_small(testbed: Testbed, cluster: FakeKubernetes) -> None:
    agent = testbed.start_agent()
    items = [push(testbed, 1) for _ in range(4)]
    runs = testbed.directory / "runs"
    wait_until(lambda: runs.exists() and len(runs.read_text().split()) == len(items), 40, "all jobs run")
    memory = [private_bytes(one.pid) for one in testbed.processes() if "launchd: worker" in command_line(one)]

    agent.kill()
    testbed.start_agent()

    assert_all_ran_once(testbed, cluster, items)
    assert len(memory) == len(items)
    assert max(memory) <= MEMORY


def test_a_job_that_waits_gets_its_key_again_from_the_next_agent(testbed: Testbed, cluster: FakeKubernetes) -> None:
    cluster.runs_pods = False
    agent = testbed.start_agent()
    item = push(testbed, 0.1)
    wait_until(lambda: cluster.objects("jobs"), 40, "the job is there")
    wait_until(lambda: testbed.job(item)["phase"] == "starting", 40, "the job waits for its pod")
    (job,), (secret,) = cluster.objects("jobs"), cluster.objects("secrets")
    agent.kill()
    cluster.remove("secrets", secret["metadata"]["name"])
    make_pod(cluster, job["metadata"]["name"], "pod")
    let_wait(cluster, "pod", "CreateContainerConfigError")

    testbed.start_agent()

    wait_until(lambda: cluster.objects("secrets"), 40, "the Secret is there again")
    assert cluster.objects("secrets")[0]["data"] == secret["data"]
    cluster.remove("pods", "pod")
    cluster.run_job(job)
    assert_all_ran_once(testbed, cluster, [item])
    assert list((testbed.state_dir / "keys").iterdir()) == []


def test_a_right_that_is_missing_is_shown_from_the_start(testbed: Testbed, cluster: FakeKubernetes) -> None:
    cluster.denied = {("create", "secrets")}
    testbed.start_agent()

    def found() -> dict[str, Any] | None:
        return next(iter(testbed.status()["environments"]), None)

    seen = wait_until(found, 40, "the cluster was asked")

    assert seen is not None
    assert (seen["name"], seen["usable"]) == ("kubernetes", False)
    assert "does not grant the agent in the namespace default: create secrets" in seen["sentence"]
    assert testbed.status()["agent"]["state"] == "polling"


def test_a_job_is_stopped_and_its_pod_ends(testbed: Testbed, cluster: FakeKubernetes) -> None:
    testbed.start_agent()
    item = push(testbed, 60)
    runs = testbed.directory / "runs"
    wait_until(runs.exists, 30, "the job runs")

    assert testbed.ask(command="stop", item=item)["ok"]

    (ended,) = testbed.wait_over([item], 40)
    assert ended.state in ("FAILED", "STOPPED")
    assert cluster.objects("pods") == []
    assert cluster.objects("jobs") == []


def test_a_fault_while_the_key_is_handed_over_costs_nothing(testbed: Testbed, cluster: FakeKubernetes) -> None:
    cluster.fail(Fault("POST", "/secrets", 0), Fault("POST", "/jobs", 0, after=True))
    testbed.start_agent()

    assert_all_ran_once(testbed, cluster, [push(testbed, 0)])


@pytest.mark.parametrize("seconds", [5.0, pytest.param(120.0, marks=[pytest.mark.long, pytest.mark.timeout(300)])])
def test_an_api_that_is_away_for_a_time_costs_no_job(testbed: Testbed, cluster: FakeKubernetes, seconds: float) -> None:
    testbed.start_agent()
    items = [push(testbed, pause) for pause in (0.3, seconds / 4)]
    runs = testbed.directory / "runs"
    wait_until(lambda: runs.exists() and len(runs.read_text().split()) == len(items), 40, "all jobs run")
    back = time.monotonic() + seconds
    outage = Fault("*", "/", 0, times=1_000_000)

    cluster.fail(outage)
    wait_until(lambda: time.monotonic() > back, seconds + 20, "the outage is over")
    outage.times = 0

    assert_all_ran_once(testbed, cluster, items, timeout=90)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_job_that_runs_costs_two_requests_a_minute_at_most(testbed: Testbed, cluster: FakeKubernetes) -> None:
    jobs, seconds = 20, 160.0
    testbed.start_agent()
    items = [push(testbed, 45) for _ in range(jobs)]
    runs = testbed.directory / "runs"
    wait_until(lambda: runs.exists() and len(runs.read_text().split()) == jobs, 60, "all jobs run")
    wait_until(lambda: cluster.requests["watch"] >= 2, 30, "Jobs and pods are watched")
    since, before = time.monotonic(), sum(cluster.requests.values())

    wait_until(lambda: time.monotonic() - since > seconds, seconds + 20, "some minutes are over")

    asked = sum(cluster.requests.values()) - before
    assert asked / jobs / (seconds / 60) <= 2
    assert_all_ran_once(testbed, cluster, items, timeout=150)


def watcher(testbed: Testbed) -> psutil.Process:
    """Return the process that watches for all workers, once there is one."""

    def found() -> psutil.Process | None:
        below = children_of(testbed.agent_pid, all_below=True)
        return next((one for one in below if "watch of Kubernetes" in command_line(one)), None)

    one = wait_until(found, 20, "something watches")
    assert one is not None
    return one


@pytest.mark.timeout(200)
@pytest.mark.parametrize("fault", ["killed", "stopped", pytest.param("not granted", marks=pytest.mark.long)])
def test_jobs_end_where_nothing_tells_of_it(testbed: Testbed, cluster: FakeKubernetes, fault: str) -> None:
    """Long before their workers would look by themselves, but for where nothing can be watched."""
    if fault == "not granted":
        cluster.fail(Fault("GET", "?watch", 403, times=1_000_000))
    go = testbed.directory / "go"
    testbed.start_agent()
    script = 'while [ ! -e "$0" ]; do sleep 0.1; done'
    image = {"docker_image": IMAGE}
    items = [testbed.push("sh", "-c", script, str(go), resource="kubernetes", docker=image) for _ in range(2)]
    wait_until(lambda: [testbed.phase(item) for item in items] == ["running"] * 2, 40, "the jobs run")
    first = watcher(testbed)
    wait_until(lambda: cluster.requests["watch"] >= 2, 20, "the cluster is watched")

    if fault != "not granted":
        first.send_signal(signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
    go.touch()

    # What a worker does by itself takes up to LOOK_SECONDS.
    ended = testbed.wait_over(items, 30 if fault != "not granted" else 100)
    assert [item.state for item in ended] == ["FINISHED"] * 2
    if fault == "not granted":
        assert "Kubernetes does not grant a watch" in testbed.log()
    else:
        assert "it is started anew" in testbed.log()
        wait_until(lambda: watcher(testbed).pid != first.pid, 20, "another process watches")
        assert is_gone(first.pid)


def test_a_job_that_cannot_be_granted_says_so(testbed: Testbed, cluster: FakeKubernetes) -> None:
    testbed.start_agent()

    item = push(testbed, 0, spec={"template": {"spec": {"hostNetwork": True}}})

    (ended,) = testbed.wait_over([item], 40)
    assert ended.state == "FAILED"
    assert "hostNetwork" in (ended.message or "")
    assert not cluster.created
