"""The runner of containers over podman's service, which speaks Docker's API in its own way."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ipc.agent_mark import agent_mark
from ipc.engine_upkeep import FindContainers, Found, RemoveContainers, Removed, Upkeep
from ipc.policy_rules import ContainerLimits, ContainerRules
from ipc.settings import MIB
from ipc.states import JobState
from ipc.work_order import JobUser
from tests.contract.runners.support import NAME, Job, container_jobs, wait_for_end
from tests.support.engine import TestEngine, image_of
from tests.support.podman import running_podman
from tests.support.waiting import wait_until
from workers.context import JobContext
from workers.docker import disk_watch, upkeep
from workers.docker.engine import Engine
from workers.output import OutputWriter
from workers.output_follower import OutputFollower

pytestmark = [
    pytest.mark.engine,
    pytest.mark.root,
    # The SDK leaves a socket open where it cannot connect.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

JobMaker = Callable[..., Job]


@pytest.fixture(scope="module")
def podman() -> Iterator[TestEngine]:
    with running_podman() as engine:
        yield engine


@pytest.fixture
def make_job(tmp_path: Path, podman: TestEngine) -> Iterator[JobMaker]:
    """Jobs with a shell script, rules and a user."""
    yield container_jobs(tmp_path, podman.address, network="none")
    podman.remove_containers()


def run(job: Job) -> tuple[JobState, str]:
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    status = wait_for_end(runner, handle, 40)
    assert follower.finish(20)
    return status.state, job.text()


def test_a_job_runs_to_its_end_and_is_removed(make_job: JobMaker, podman: TestEngine) -> None:
    job = make_job("echo out; echo err >&2; exit 3")

    assert run(job) == (JobState.FAILED, "out\nerr\n")
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    status = runner.inspect(handle)
    assert status.result is not None
    assert status.result.code == 3
    runner.delete(handle)
    assert podman.containers() == {}


def test_a_job_is_stopped_by_force_after_the_grace(make_job: JobMaker) -> None:
    job = make_job("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    wait_until(lambda: "ready" in job.text(), 20, "the job is ready")

    runner.cancel(handle, 0.5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert follower.finish(20)


def test_a_job_that_ends_while_it_is_stopped_is_no_trouble_of_its_engine(make_job: JobMaker) -> None:
    """Podman refuses a signal to what has ended by the status of an error of its own."""
    runner, handle = make_job("sleep 60").submit()

    runner.cancel(handle, 0)
    assert wait_for_end(runner, handle).state is JobState.STOPPED
    runner.cancel(handle, 0)


def test_it_is_started_once_and_found_by_its_name(make_job: JobMaker) -> None:
    job = make_job("echo once; sleep 1")

    first, second = job.submit()[1], job.submit()[1]

    assert first == second == job.runner().find(NAME)
    assert run(job) == (JobState.FINISHED, "once\n")


def test_a_job_outlives_the_service(make_job: JobMaker, podman: TestEngine) -> None:
    job = make_job("for i in $(seq 30); do echo line $i; sleep 0.1; done")
    runner, handle = job.submit()
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    wait_until(lambda: "line 3\n" in job.text(), 20, "the job runs")

    podman.stop()
    podman.start()

    assert wait_for_end(runner, handle, 40).state is JobState.FINISHED
    assert follower.finish(30)
    assert job.text() == "".join(f"line {number}\n" for number in range(1, 31))


def test_arguments_limits_and_the_user_have_their_effect(make_job: JobMaker, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    rules = ContainerRules(mounts=(f"{shared}:rw",), no_new_privileges=True)
    script = (
        'id -u; touch /data/x && touch "$HOME/y" && echo "$HOME"; grep NoNewPrivs /proc/self/status | cut -f2; hostname'
    )

    state, text = run(make_job(script, rules, JobUser(64321, 64322, "/x"), volume=f"{shared}:/data", hostname="box"))

    assert (state, text) == (JobState.FINISHED, "64321\n/launchd-home\n1\nbox\n")


def test_an_image_does_not_have_its_engine_look_after_it_all_the_time(make_job: JobMaker, podman: TestEngine) -> None:
    with image_of(podman, "HEALTHCHECK --interval=1s CMD true") as image:
        job = make_job("sleep 60", image=image)
        job.runner().fetch_image(image, JobContext(job.order, "key", lambda _event: None))
        job.submit()
        (container,) = podman.containers().values()
        podman.remove_containers()

    assert (container["Config"].get("Healthcheck") or {}).get("Interval", 0) in (0, 5_000_000_000)


@pytest.mark.parametrize("path", ["/x", "/etc/hosts"])
def test_what_a_job_writes_is_counted(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 0.2)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))
    runner, handle = make_job(f"dd if=/dev/zero of={path} bs=1M count=60; sleep 60", rules).submit()

    status = wait_for_end(runner, handle, 40)

    assert "more than 20 MiB (launchd.policy.containers.limits.disk)" in (status.message or "")


def test_orphans_are_found_by_their_mark_and_removed(make_job: JobMaker, podman: TestEngine) -> None:
    job = make_job("sleep 60")
    job.submit()
    mark = agent_mark(str(job.directory.parent.parent))

    found = upkeep.answer(Upkeep(FindContainers(mark), podman.address))

    assert isinstance(found, Found)
    [container] = found.containers
    assert (container.name, container.item_id, container.state) == (NAME, "item", "running")
    removed = upkeep.answer(Upkeep(RemoveContainers((container.id,)), podman.address))
    assert removed == Removed((container.id,))
    assert podman.containers() == {}


def test_the_engines_disk_is_told(podman: TestEngine) -> None:
    with closing(Engine(podman.address)) as engine:
        assert Path(engine.data_directory()).is_dir()
