"""The agent's Role in a cluster is the least that there is: each of its rights is asked for by some job."""

from pathlib import Path

import pytest

from ipc.errors import RunnerUnavailable
from ipc.settings import KubernetesConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.cluster_rights import GRANTED, granted_kubernetes, needed
from tests.support.fake_kubernetes import FakeKubernetes, Fault
from tests.support.waiting import wait_until
from tests.support.watch_service import WatchService
from workers.kubernetes import remedies
from workers.output import OutputWriter
from workers.runners import Runner


def job_of(directory: Path, cluster: FakeKubernetes, script: str) -> Job:
    directory.mkdir()
    config = KubernetesConfig(config_file=str(cluster.write_config(directory / "kubeconfig")))
    return Job(
        directory / "state" / "jobs" / NAME,
        resource="kubernetes",
        command=("sh", "-c", script),
        image="registry.example/train:1",
        kubernetes=config,
    )


def submitted(job: Job) -> Runner:
    runner, launch = job.runner(), job.launch
    launch.environment["WANDB_API_KEY"] = "key1"
    runner.validate()
    runner.submit(launch)
    return runner


def test_no_right_is_granted_that_no_job_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with granted_kubernetes() as cluster:
        _run_one(tmp_path / "run", cluster)
        _stop_one(tmp_path / "stop", cluster)
        monkeypatch.setattr(remedies, "USUAL_START_SECONDS", 0.0)
        _wait_for_one(tmp_path / "wait", cluster)
        _watch(tmp_path / "watch", cluster)

        assert GRANTED - needed(cluster.asked) == set()


def _run_one(directory: Path, cluster: FakeKubernetes) -> None:
    """A job whose first Secret had no answer, adopted by another worker, with its output and its end."""
    job = job_of(directory, cluster, "echo hello")
    cluster.fail(Fault("POST", "/secrets", 0, after=True))
    with pytest.raises(RunnerUnavailable):
        submitted(job)
    submitted(job)
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    assert wait_for_end(runner, handle).state is JobState.FINISHED
    writer = OutputWriter(job.directory, job.jobs)
    runner.follow_output(handle, writer)
    writer.close()
    assert job.text() == "hello\n"
    runner.delete(handle)


def _stop_one(directory: Path, cluster: FakeKubernetes) -> None:
    runner, handle = job_of(directory, cluster, "sleep 60").submit()
    wait_until(lambda: runner.inspect(handle).state is JobState.RUNNING, what="the job runs")
    runner.cancel(handle, 1.0)
    assert wait_for_end(runner, handle).state is JobState.STOPPED
    runner.delete(handle)


def _wait_for_one(directory: Path, cluster: FakeKubernetes) -> None:
    cluster.runs_pods = False
    runner, handle = job_of(directory, cluster, "true").submit()
    assert runner.inspect(handle).state is JobState.STARTING
    runner.delete(handle)


def _watch(directory: Path, cluster: FakeKubernetes) -> None:
    directory.mkdir()
    service = WatchService(str(cluster.write_config(directory / "kubeconfig")), "mark")
    service.watch()
    cluster.close()
    service.close()
