"""One suite over every runner: what the worker may rely on, whatever the target."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.errors import RunnerUnavailable, SubmitError
from ipc.handles import Handle
from ipc.policy_rules import ContainerRules, SagemakerRules
from ipc.settings import KubernetesConfig
from ipc.states import JobState
from ipc.targets import IMAGE_BUILD, TARGETS
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.aws import ROLE, arguments
from tests.support.cluster_rights import GRANTED, needed
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.fake_kubernetes import FakeKubernetes, fake_kubernetes
from tests.support.google_cloud import GoogleCloud, google_cloud, job_args
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import Runner

JobMaker = Callable[..., Job]

#: A runner joins by being declared. One of them runs nothing.
RESOURCES = sorted(name for name, target in TARGETS.items() if target.runner and name != IMAGE_BUILD)

#: Targets that have no number for how a process ended, and say it in a sentence.
SAYS_IN_WORDS = ("vertex",)

#: What a runner needs of the machine, as a mark.
NEEDS = {"local-container": pytest.mark.engine}


@pytest.fixture(params=[pytest.param(name, marks=NEEDS.get(name, ())) for name in RESOURCES])
def make_job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobMaker]:
    """Jobs that run for some seconds, end with an exit code, and note each start as a line of a file."""

    def make(seconds: float = 0, exit_code: int = 0) -> Job:
        shared = tmp_path / "shared"
        shared.mkdir(exist_ok=True)
        script = f"echo started; echo started >> {shared}/starts; sleep {seconds} & wait $!; exit {exit_code}"
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource=request.param,
            command=("sh", "-c", script),
            **_arguments(request, seconds, exit_code, shared),
        )

    yield make
    if request.param == "local-container":
        request.getfixturevalue("engine").remove_containers()


@pytest.fixture
def fake_cluster() -> Iterator[FakeKubernetes]:
    """A cluster on a socket, whose pods are processes."""
    with fake_kubernetes() as cluster:
        yield cluster
    assert needed(cluster.asked) <= GRANTED


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    """Google Cloud on a socket, with credentials for it."""
    with google_cloud() as server:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(server.write_credentials(tmp_path)))
        yield server


def _arguments(request: pytest.FixtureRequest, seconds: float, exit_code: int, shared: Path) -> dict[str, Any]:
    """Return what makes a job of the fake target, of an engine, or of a cloud, do what the script says."""
    if request.param == "kubernetes":
        cluster: FakeKubernetes = request.getfixturevalue("fake_cluster")
        config = cluster.write_config(shared.parent / "kubeconfig")
        return {"image": BASE_IMAGE, "kubernetes": KubernetesConfig(config_file=str(config))}
    if request.param == "vertex":
        cloud: GoogleCloud = request.getfixturevalue("cloud")
        cloud.starts_file = shared / "starts"
        return {
            "knobs": job_args(seconds, exit_code),
            "image": "us-docker.pkg.dev/p/r/image:1",
            "vertex": cloud.settings,
            "environment": cloud.environment,
        }
    if request.param == "sagemaker":
        request.getfixturevalue("aws")
        rules = SagemakerRules(roles=(ROLE,))
        return {"knobs": arguments(), "image": "registry.example/train:1", "sagemaker": rules}
    if request.param != "local-container":
        return {"knobs": {"run_seconds": seconds, "exit_code": exit_code}}
    engine: TestEngine = request.getfixturevalue("engine")
    return {
        "knobs": {"volume": f"{shared}:{shared}"},
        "image": BASE_IMAGE,
        "engine": engine.address,
        "containers": ContainerRules(mounts=(f"{shared}:rw",)),
    }


def test_the_fake_target_of_the_tests_is_declared() -> None:
    assert {"fake", "local-process"} <= set(RESOURCES)


def test_a_job_that_succeeds_is_finished(make_job: JobMaker) -> None:
    status = make_job().run()

    assert (status.state, status.result and status.result.code) == (JobState.FINISHED, 0)


def test_a_job_that_fails_says_with_which_exit_code(make_job: JobMaker) -> None:
    job = make_job(exit_code=3)
    status = job.run()

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert status.result.code == 3 or (job.resource in SAYS_IN_WORDS and "status of 3" in str(status.message))


def test_a_job_that_runs_is_running(make_job: JobMaker) -> None:
    runner, handle = make_job(seconds=60).submit()

    assert runner.inspect(handle).state is JobState.RUNNING

    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


def test_what_was_never_submitted_is_not_found(make_job: JobMaker) -> None:
    assert make_job().runner().find(NAME) is None


def test_what_was_prepared_only_is_not_found(make_job: JobMaker) -> None:
    job = make_job()
    worker = job.submit_in_worker("prepare")
    worker.wait_for_word()

    assert job.runner().find(NAME) is None
    worker.kill()
    assert job.runner().find(NAME) is None


def test_a_running_job_is_found_by_its_name(make_job: JobMaker) -> None:
    job = make_job(seconds=60)
    runner, handle = job.submit()

    assert job.runner().find(NAME) == handle

    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


def test_an_ended_job_is_found_by_its_name(make_job: JobMaker) -> None:
    job = make_job(exit_code=3)
    job.run()

    found = job.runner().find(NAME)

    assert found is not None
    assert job.runner().inspect(found).state is JobState.FAILED


def test_submitting_twice_under_one_name_starts_once(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job()
    first = job.submit()
    second = job.submit()

    assert first[1] == second[1]
    wait_for_end(*second)
    assert starts(job, tmp_path) == 1


def test_submitting_again_after_the_end_does_not_start_it_again(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job(exit_code=3)
    job.run()

    runner, handle = job.submit()

    assert runner.inspect(handle).state is JobState.FAILED
    assert starts(job, tmp_path) == 1


def test_a_cancelled_job_is_stopped(make_job: JobMaker) -> None:
    runner, handle = make_job(seconds=60).submit()

    runner.cancel(handle, grace_seconds=5)
    runner.cancel(handle, grace_seconds=5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED


def test_cancelling_an_ended_job_changes_nothing(make_job: JobMaker) -> None:
    runner, handle = make_job(exit_code=3).submit()
    wait_for_end(runner, handle)

    runner.cancel(handle, grace_seconds=5)

    assert runner.inspect(handle).state is JobState.FAILED


def test_output_is_in_the_jobs_files_at_its_end_and_there_once(make_job: JobMaker) -> None:
    job = make_job()
    runner, handle = job.submit()
    wait_for_end(runner, handle)

    follow(runner, handle, job)
    first = job.output()
    follow(runner, handle, job)

    assert b"started" in first
    assert job.output() == first


def follow(runner: Runner, handle: Handle, job: Job) -> None:
    """Follow the output as a worker does, if the target keeps it."""
    if runner.capabilities.keeps_output:
        follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
        follower.start()
        assert follower.finish(20)


def test_deleting_twice_is_no_error_and_the_outcome_stays(make_job: JobMaker) -> None:
    runner, handle = make_job(exit_code=3).submit()
    wait_for_end(runner, handle)

    runner.delete(handle)
    runner.delete(handle)

    assert runner.inspect(handle).state is JobState.FAILED


def test_a_job_outlives_its_worker_and_is_adopted_by_another(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job(seconds=0.3, exit_code=3)
    worker = job.submit_in_worker()
    word = worker.wait_for_word()
    worker.kill()

    runner = job.runner()
    found = runner.find(NAME)

    assert found is not None
    assert found == Handle(**word["done"])
    assert wait_for_end(runner, found).state is JobState.FAILED
    assert starts(job, tmp_path) == 1


def test_the_fake_refuses_when_told_to(tmp_path: Path) -> None:
    job = Job(tmp_path / "jobs" / NAME, "fake", knobs={"submit_error": "No room."})

    with pytest.raises(SubmitError, match="No room"):
        job.submit()
    assert job.runner().find(NAME) is None


@pytest.mark.parametrize("creates", [False, True])
def test_the_fake_may_not_answer_to_a_submission(creates: bool, tmp_path: Path) -> None:
    job = Job(tmp_path / "jobs" / NAME, "fake", knobs={"submit_unavailable_times": 1, "submit_creates": creates})
    runner = job.runner()
    runner.validate()

    with pytest.raises(RunnerUnavailable):
        runner.submit(job.launch)

    assert (runner.find(NAME) is not None) == creates
    runner.submit(job.launch)
    assert starts(job, tmp_path) == 1


def test_the_fake_may_not_answer_to_a_look(tmp_path: Path) -> None:
    runner, handle = Job(tmp_path / "jobs" / NAME, "fake", knobs={"inspect_unavailable_times": 1}).submit()

    with pytest.raises(RunnerUnavailable):
        runner.inspect(handle)
    assert runner.inspect(handle).state is JobState.FINISHED


def test_the_fake_starts_runs_and_is_preempted(tmp_path: Path) -> None:
    knobs = {"start_seconds": 0.2, "run_seconds": 0.2, "preempt": True}
    runner, handle = Job(tmp_path / "jobs" / NAME, "fake", knobs=knobs).submit()

    seen: list[JobState] = []
    while JobState.PREEMPTED not in seen:
        state = runner.inspect(handle).state
        seen += [] if state in seen else [state]
    assert seen == [JobState.STARTING, JobState.RUNNING, JobState.PREEMPTED]


def starts(job: Job, tmp_path: Path) -> int:
    """Return how often the job was started, as the job's target itself knows it."""
    if job.resource == "fake":
        workload = job.directory.parent / "fake-cluster" / f"{NAME}.json"
        return workload.read_text().count('"creations":1')
    return (tmp_path / "shared" / "starts").read_text().count("started")
