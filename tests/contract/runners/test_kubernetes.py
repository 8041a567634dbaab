"""What only a cluster can be asked, on a real one: how jobs end there, and what they wait for."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.agent_mark import agent_mark
from ipc.handles import Handle
from ipc.policy_rules import KubernetesRules
from ipc.settings import KubernetesConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.kubernetes import BASE_IMAGE, TestCluster, real_cluster
from tests.support.waiting import wait_until
from tests.support.watch_service import WatchService
from workers.builders import Build
from workers.kubernetes.archives import CODE_ARCHIVE, PART_BYTES, pack
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import Runner, Status

pytestmark = [pytest.mark.long, pytest.mark.root, pytest.mark.timeout(240)]

JobMaker = Callable[..., Job]


@pytest.fixture(scope="module")
def cluster() -> Iterator[TestCluster]:
    with real_cluster() as running:
        yield running


@pytest.fixture
def make_job(tmp_path: Path, cluster: TestCluster) -> Iterator[JobMaker]:
    """Jobs of a shell script, with a manifest."""

    def make(script: str = "true", rules: KubernetesRules | None = None, **more: Any) -> Job:
        image = more.pop("image", BASE_IMAGE)
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="kubernetes",
            command=("sh", "-c", script),
            image=image,
            knobs=more,
            kubernetes=KubernetesConfig(config_file=cluster.config_file, namespace=cluster.namespace),
            cluster_rules=rules or KubernetesRules(),
        )

    yield make
    for plural in ("jobs", "pods", "secrets"):
        cluster.api.delete(
            cluster.path(plural),
            {"propagationPolicy": "Background", "gracePeriodSeconds": 0},
            labelSelector=f"launchd/name={NAME}",
        )
    wait_until(lambda: not cluster.items("pods"), 60, "all pods are gone")


def container(**fields: Any) -> dict[str, Any]:
    return {"template": {"spec": {"containers": [fields]}}}


def names(cluster: TestCluster, plural: str) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.items(plural)]


@contextmanager
def resource_of_node(cluster: TestCluster, name: str) -> Iterator[None]:
    """Have the node offer two of a resource."""
    (node,) = cluster.api.get("/api/v1/nodes")["items"]
    path = f"/api/v1/nodes/{node['metadata']['name']}/status"
    cluster.api.patch(path, {"status": {"capacity": {name: "2"}}})
    try:
        yield
    finally:
        cluster.api.patch(path, {"status": {"capacity": {name: None}}})


def wait_for_message(runner: Runner, handle: Handle, text: str) -> Status:
    def seen() -> Status | None:
        status = runner.inspect(handle)
        return status if text in (status.message or "") else None

    status = wait_until(seen, 60, f"the job says {text!r}")
    assert status is not None
    return status


def follow(runner: Runner, handle: Handle, job: Job) -> OutputFollower:
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    return follower


def test_a_job_succeeds_and_its_output_is_in_its_files(make_job: JobMaker, cluster: TestCluster) -> None:
    job = make_job("for i in $(seq 1000); do echo line $i; done; sleep 1; echo last")
    runner, handle = job.submit()
    follower = follow(runner, handle, job)

    status = wait_for_end(runner, handle, 60)

    assert follower.finish(30)
    assert (status.state, status.result and status.result.code) == (JobState.FINISHED, 0)
    assert job.text() == "".join(f"line {number}\n" for number in range(1, 1001)) + "last\n"
    runner.delete(handle)
    assert NAME not in names(cluster, "secrets")


def test_a_job_that_fails_says_with_which_exit_code(make_job: JobMaker) -> None:
    status = wait_for_end(*make_job("exit 3").submit(), 60)

    assert (status.state, status.result and status.result.code) == (JobState.FAILED, 3)


def test_a_job_that_uses_too_much_memory_says_so(make_job: JobMaker) -> None:
    script = "dd if=/dev/zero of=/dev/null bs=200M count=1"
    spec = container(resources={"limits": {"memory": "20Mi"}})
    status = wait_for_end(*make_job(script, spec=spec).submit(), 60)

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert status.result.oom_killed


def test_a_job_that_cannot_be_scheduled_starts_with_the_reason_and_runs_once_it_can(
    make_job: JobMaker, cluster: TestCluster
) -> None:
    # No other run on this cluster changes what the node has of it.
    gpu = f"gpu-{secrets.token_hex(4)}.example/gpu"
    runner, handle = make_job("true", spec=container(resources={"limits": {gpu: 1}})).submit()

    status = wait_for_message(runner, handle, "cannot be scheduled")

    assert status.state is JobState.STARTING
    with resource_of_node(cluster, gpu):
        assert wait_for_end(runner, handle, 60).state is JobState.FINISHED


def test_an_image_that_cannot_be_pulled_is_the_reason_of_a_start(make_job: JobMaker) -> None:
    runner, handle = make_job("true", image="127.0.0.1:1/none:1").submit()

    assert wait_for_message(runner, handle, "image cannot be pulled").state is JobState.STARTING

    runner.cancel(handle, 0)
    assert wait_for_end(runner, handle, 60).state is JobState.STOPPED


def test_a_job_deleted_by_hand_has_failed_and_says_so(make_job: JobMaker, cluster: TestCluster) -> None:
    runner, handle = make_job("sleep 60").submit()
    cluster.api.delete(cluster.path("jobs", str(handle.data["object"])), {"propagationPolicy": "Background"})

    status = wait_for_end(runner, handle, 60)

    assert status.state is JobState.FAILED
    assert "deleted from the cluster" in (status.message or "")


def test_an_evicted_job_says_that_it_was_evicted(make_job: JobMaker) -> None:
    spec = {"template": {"spec": {"containers": [{"resources": {"limits": {"ephemeral-storage": "1Mi"}}}]}}}

    status = wait_for_end(*make_job("dd if=/dev/zero of=/tmp/a bs=1M count=20; sleep 120", spec=spec).submit(), 120)

    assert status.state is JobState.FAILED
    assert "evicted" in (status.message or "")


def test_a_job_over_its_deadline_says_so(make_job: JobMaker) -> None:
    status = wait_for_end(*make_job("sleep 60", spec={"activeDeadlineSeconds": 2}).submit(), 60)

    assert status.state is JobState.FAILED
    assert "activeDeadlineSeconds" in (status.message or "")


def test_a_stopped_job_gets_its_grace_and_is_gone_afterwards(make_job: JobMaker, cluster: TestCluster) -> None:
    job = make_job("trap 'echo asked to end; exit 0' TERM; echo up; while true; do sleep 0.1; done")
    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    wait_until(lambda: runner.inspect(handle).state is JobState.RUNNING and "up" in job.text(), 60, "the job is up")

    begun = time.monotonic()
    runner.cancel(handle, grace_seconds=20)
    assert runner.inspect(handle).state is JobState.STOPPING

    assert wait_for_end(runner, handle, 60).state is JobState.STOPPED
    assert time.monotonic() - begun < 20
    assert follower.finish(30)
    assert "asked to end" in job.text()
    assert cluster.items("jobs") == []
    wait_until(lambda: NAME not in names(cluster, "secrets"), 30, "no Secret is left")


def test_a_secret_that_vanishes_before_the_start_is_made_again(make_job: JobMaker, cluster: TestCluster) -> None:
    job = make_job(
        "sleep 1; test $WANDB_API_KEY = key1",
        spec={
            "template": {"spec": {"initContainers": [{"name": "wait", "image": BASE_IMAGE, "command": ["sleep", "3"]}]}}
        },
    )
    runner = job.runner()
    runner.validate()
    launch = job.launch
    launch.environment["WANDB_API_KEY"] = "key1"
    handle = runner.submit(launch)
    cluster.api.delete(cluster.path("secrets", NAME))

    assert wait_for_end(runner, handle, 90).state is JobState.FINISHED


def test_all_secrets_of_a_job_that_waits_are_made_again_by_the_worker_that_takes_it_over(
    make_job: JobMaker, cluster: TestCluster, tmp_path: Path
) -> None:
    gpu = f"gpu-{secrets.token_hex(4)}.example/gpu"
    job = make_job("cat said.txt && test $WANDB_API_KEY = key1", spec=container(resources={"limits": {gpu: 1}}))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "said.txt").write_text("from the code")
    (tmp_path / "files" / "large").write_bytes(os.urandom(PART_BYTES))
    pack(tmp_path / "files", job.directory / CODE_ARCHIVE)
    launch = msgspec.structs.replace(job.launch, build=Build(image=BASE_IMAGE, code=str(job.directory / CODE_ARCHIVE)))
    launch.environment["WANDB_API_KEY"] = "key1"
    runner = job.runner()
    runner.validate()
    handle = runner.submit(launch)
    wait_for_message(runner, handle, "cannot be scheduled")
    for name in (NAME, f"{NAME}-code-0", f"{NAME}-code-1"):
        cluster.api.delete(cluster.path("secrets", name))

    with resource_of_node(cluster, gpu):
        runner = job.runner()
        runner.take_over("key1")
        wait_for_message(runner, handle, f'secret "{NAME}-code')
        # The kubelet tries to mount it again after a time, which is longer each time.
        assert wait_for_end(runner, handle, 180).state is JobState.FINISHED


def test_a_pod_that_lacks_a_volume_says_which(make_job: JobMaker) -> None:
    volumes = [{"name": "settings", "configMap": {"name": "setings"}}]
    mounts = [{"name": "settings", "mountPath": "/settings"}]
    spec = {"template": {"spec": {"containers": [{"volumeMounts": mounts}], "volumes": volumes}}}
    runner, handle = make_job("true", spec=spec).submit()

    status = wait_for_message(runner, handle, 'configmap "setings" not found')

    assert (status.state, (status.message or "").partition(":")[0]) == (JobState.STARTING, "its pod is being created")


def test_a_job_that_may_have_no_pod_says_why(make_job: JobMaker, cluster: TestCluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    cluster.api.create(cluster.path("resourcequotas"), quota)
    try:
        runner, handle = make_job("true").submit()
        status = wait_for_message(runner, handle, "exceeded quota")
    finally:
        cluster.api.delete(cluster.path("resourcequotas", "none"))

    assert (status.state, (status.message or "").partition(":")[0]) == (JobState.STARTING, "it has no pod yet")


def test_a_watch_tells_of_the_start_and_the_end_and_the_runner_need_not_ask(
    make_job: JobMaker, cluster: TestCluster
) -> None:
    job = make_job("sleep 5")
    runner = job.runner()
    runner.validate()
    service = WatchService(cluster.config_file, agent_mark(str(job.directory.parent.parent)))
    try:
        scope = service.watch(cluster.namespace)
        handle = runner.submit(job.launch)
        assert runner.watch_scope(handle) == scope
        wait_until(lambda: service.times_changed(NAME) >= 2, 60, "the start is told")
        wait_until(lambda: runner.inspect(handle).state is JobState.RUNNING, 60, "the job runs")
        before = service.times_changed(NAME)
        wait_until(lambda: service.times_changed(NAME) > before, 60, "the end is told")
        assert wait_for_end(runner, handle, 60).state is JobState.FINISHED
        assert service.refusals() == []
    finally:
        service.close()


def test_an_adopted_job_has_its_whole_output_once(make_job: JobMaker) -> None:
    job = make_job("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.5; done")
    worker = job.submit_in_worker()
    worker.wait_for_word()
    worker.kill()
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    follower = follow(runner, handle, job)
    wait_for_end(runner, handle, 60)
    assert follower.finish(30)
    assert job.text() == "".join(f"line {number}\n" for number in range(1, 7))


def test_code_in_no_image_is_where_wandbs_agent_has_it(make_job: JobMaker, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "said.txt").write_text("from the code")
    (files / "large").write_bytes(os.urandom(PART_BYTES))
    pack(files, tmp_path / "code.tgz")
    job = make_job("pwd; cat said.txt; touch written; id -u")
    runner = job.runner()
    runner.validate()
    launch = msgspec.structs.replace(job.launch, build=Build(image=BASE_IMAGE, code=str(tmp_path / "code.tgz")))

    handle = runner.submit(launch)
    status = wait_for_end(runner, handle)

    writer = OutputWriter(job.directory, job.jobs)
    follower = OutputFollower(runner, handle, writer)
    follower.start()
    assert follower.finish(30)
    assert status.state is JobState.FINISHED, status
    assert "/mnt/wandb\nfrom the code" in (job.directory / "output.log").read_text()
    runner.delete(handle)
