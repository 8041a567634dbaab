"""What a container may use, and whom it runs as, on a real engine: limits are held, and each end is a sentence."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import JobError, PolicyRefused, RunnerUnavailable, SourceError
from ipc.handles import Handle
from ipc.messages import WarningRaised
from ipc.policy_rules import ContainerLimits, ContainerRules
from ipc.settings import MIB
from ipc.states import JobState
from ipc.work_order import JobUser
from tests.contract.runners.support import NAME, Job, container_jobs, wait_for_end
from tests.support.engine import BASE_IMAGE, TestEngine, image_of
from tests.support.job_contexts import Heard
from tests.support.waiting import wait_until
from workers import disk_meter
from workers.builders import Build
from workers.context import JobContext
from workers.docker import disk_watch, pull
from workers.docker.engine import Engine
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.runners import Runner

pytestmark = pytest.mark.engine

JobMaker = Callable[..., Job]

#: Of a job, and of nobody else here.
USER = JobUser(64321, 64322, "/nonexistent")


@pytest.fixture
def make_job(tmp_path: Path, engine: TestEngine) -> Iterator[JobMaker]:
    """Jobs with a shell script, rules and a user."""
    yield container_jobs(tmp_path, engine.address)
    engine.remove_containers()


def run(job: Job) -> tuple[JobState, str, str | None]:
    """Run a job to its end; returns its state, its output, and what is said of its end."""
    runner, handle = job.submit()
    follower = followed(runner, handle, job)
    status = wait_for_end(runner, handle)
    assert follower.finish(20)
    return status.state, job.text(), status.message


def followed(runner: Runner, handle: Handle, job: Job) -> OutputFollower:
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    return follower


# -- the user


def shared_directory(tmp_path: Path) -> Path:
    path = tmp_path / "shared"
    path.mkdir()
    os.chown(path, USER.uid, USER.gid)
    return path


@pytest.mark.root
def test_what_a_job_writes_to_the_host_is_its_users_who_has_a_home(make_job: JobMaker, tmp_path: Path) -> None:
    shared = shared_directory(tmp_path)
    script = 'id -u; id -g; touch /shared/made; touch "$HOME/cache" && echo "home at $HOME"; stat -c %a "$HOME"'
    job = make_job(script, ContainerRules(mounts=(f"{shared}:rw",)), USER, volume=f"{shared}:/shared")

    state, text, _ = run(job)

    assert (state, text) == (JobState.FINISHED, "64321\n64322\nhome at /launchd-home\n700\n")
    assert (shared / "made").stat().st_uid == USER.uid


@pytest.mark.root
def test_the_home_lies_in_memory_where_the_containers_disk_cannot_be_written(
    make_job: JobMaker, tmp_path: Path
) -> None:
    shared = shared_directory(tmp_path)
    script = 'touch "$HOME/cache" && stat -c "%u %a" "$HOME"'
    rules = ContainerRules(mounts=(f"{shared}:rw",))

    _, text, _ = run(make_job(script, rules, USER, volume=f"{shared}:/shared", **{"read-only": True}))

    assert text == "64321 700\n"


@pytest.mark.root
@pytest.mark.parametrize(
    ("args", "rules", "said"),
    [
        ({}, {}, "0 "),
        ({"volume": "{}:/shared:ro"}, {}, "0 "),
        ({"volume": "{}:/shared"}, {"user": "1000:1000"}, "1000 "),
        ({"volume": "{}:/shared", "u": "1234"}, {"users": ("*",)}, "1234 "),
        ({"volume": "{}:/shared", "env": "HOME=/tmp"}, {}, "64321 /tmp"),
    ],
)
def test_the_image_the_policy_and_the_job_have_their_say(
    make_job: JobMaker, tmp_path: Path, args: dict[str, str], rules: dict[str, Any], said: str
) -> None:
    shared = shared_directory(tmp_path)
    granted = ContainerRules(mounts=(f"{shared}:rw",), **rules)
    given = {name: value.format(shared) for name, value in args.items()}

    _, text, _ = run(make_job('echo "$(id -u) $HOME"', granted, USER, **given))

    assert text.startswith(said)
    assert "launchd-home" not in text


# -- limits


def test_a_container_gets_the_limits_of_the_policy(make_job: JobMaker, engine: TestEngine) -> None:
    granted = ContainerLimits(memory=64 * MIB, processors=0.5, processes=50, shared_memory=8 * MIB)
    job = make_job("sleep 60", ContainerRules(limits=granted, no_new_privileges=True))
    runner, handle = job.submit()

    host = engine.containers()[NAME]["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (64 * MIB, 64 * MIB)
    assert (host["NanoCpus"], host["PidsLimit"], host["ShmSize"]) == (500_000_000, 50, 8 * MIB)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


def test_a_limit_above_what_the_host_has_is_no_refusal(make_job: JobMaker) -> None:
    """As that of the preset `public` on a host with two processors."""
    rules = ContainerRules(limits=ContainerLimits(processors=4096.0))

    assert run(make_job("echo runs", rules))[:2] == (JobState.FINISHED, "runs\n")


def test_more_than_the_policy_grants_is_refused(make_job: JobMaker, engine: TestEngine) -> None:
    rules = ContainerRules(limits=ContainerLimits(memory=64 * MIB))

    with pytest.raises(PolicyRefused, match=r"memory 1 GiB is not granted on this host: a job may have at most 64 MiB"):
        make_job("true", rules, memory="1g").submit()
    assert engine.containers() == {}


def test_memory_of_the_policy_is_held(make_job: JobMaker) -> None:
    rules = ContainerRules(limits=ContainerLimits(memory=32 * MIB))

    state, _, message = run(make_job("dd if=/dev/zero of=/dev/null bs=300M count=1", rules))

    assert state is JobState.FAILED
    assert message == "The job was killed because it used more than its memory of 32 MiB."


def test_a_job_that_writes_too_much_is_ended_and_told(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the storage driver can hold a container to its disk, the job is told so by the kernel instead."""
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 0.2)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))

    state, text, message = run(make_job("dd if=/dev/zero of=/x bs=1M count=60 && echo written && sleep 60", rules))

    assert state is JobState.FAILED
    assert "more than 20 MiB (launchd.policy.containers.limits.disk)" in (message or "") or "No space" in text


def test_what_is_written_to_a_volume_of_its_own_counts(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 0.2)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))

    state, _, message = run(make_job("dd if=/dev/zero of=/new/x bs=1M count=60; sleep 60", rules, volume="/new"))

    assert state is JobState.FAILED
    assert "had written" in (message or "")


def test_the_next_worker_knows_why_a_job_was_ended(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 0.0)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))
    job = make_job("dd if=/dev/zero of=/x bs=1M count=60; sleep 60", rules)
    runner, handle = job.submit()
    wait_until(lambda: runner.inspect(handle).state is JobState.FAILED, 30, "the end of the job")

    status = job.runner().inspect(handle)

    assert "had written" in (status.message or "") or status.state is JobState.FAILED


def test_full_shared_memory_is_an_error_of_the_job_alone(make_job: JobMaker) -> None:
    state, text, _ = run(make_job("dd if=/dev/zero of=/dev/shm/x bs=1M count=20; true", **{"shm-size": "8m"}))

    assert state is JobState.FINISHED
    assert "No space left on device" in text


def test_a_bus_error_says_what_it_most_often_means(make_job: JobMaker) -> None:
    state, _, message = run(make_job("kill -7 $$", **{"shm-size": "8m"}))

    assert state is JobState.FAILED
    assert message == (
        "The job was killed by SIGBUS, which most often means that its shared memory of 8 MiB is full: give it more"
        " with the argument shm-size."
    )


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_what_is_written_to_the_engines_own_files_counts(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """They lie in the engine's directory, beside the container's file system, and root in it may write to them."""
    monkeypatch.setattr(disk_watch, "LOOK_SECONDS", 0.2)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))

    state, _, message = run(make_job(f"dd if=/dev/zero of=/etc/{name} bs=1M count=60; sleep 60", rules))

    assert state is JobState.FAILED
    assert "more than 20 MiB (launchd.policy.containers.limits.disk)" in (message or "")


def test_an_engine_that_takes_long_to_count_keeps_no_worker_waiting(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a job has written millions of files."""

    def walk(_engine: Engine, _container: str) -> int:
        time.sleep(3)
        raise RunnerUnavailable("The engine does not answer.")

    monkeypatch.setattr(Engine, "written_bytes", walk)
    job = make_job("sleep 60", ContainerRules(limits=ContainerLimits(disk=20 * MIB)))
    runner, handle = job.submit()
    began = time.monotonic()

    assert runner.inspect(handle).state is JobState.RUNNING
    runner.cancel(handle, 0)
    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert time.monotonic() - began < 3


def test_what_is_written_to_a_mounted_project_counts(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the builder noop: it is the job's own directory of this host, which no engine counts."""
    monkeypatch.setattr(disk_meter, "PAUSE_SECONDS", 0.1)
    rules = ContainerRules(limits=ContainerLimits(disk=20 * MIB))
    job = make_job("dd if=/dev/zero of=x bs=1M count=60; sleep 60", rules)
    launch = msgspec.structs.replace(job.launch, build=Build(image=BASE_IMAGE, mounts_project=True))
    runner = job.runner()
    handle = runner.submit(launch)
    # By a worker that has taken the job over.
    runner = job.runner()

    def excess() -> JobError | None:
        assert runner.inspect(handle).state is JobState.RUNNING
        return runner.why_too_much()

    error = wait_until(excess, 20, "the job has written too much")
    assert "more than its limit of 20 MiB of disk" in error.message
    assert "launchd.policy.containers.limits.disk" in (error.hint or "")
    runner.cancel(handle, 0)
    wait_for_end(runner, handle)
    runner.delete(handle)


# -- work of the engine


def test_an_image_does_not_have_its_engine_look_after_it_all_the_time(make_job: JobMaker, engine: TestEngine) -> None:
    script = "sleep 3; wc -l < /probes; exit 0"
    with image_of(engine, "HEALTHCHECK --interval=1ms --timeout=7s CMD echo probe >> /probes") as image:
        job = make_job(f"touch /probes; {script}", image=image)
        runner, handle = job.submit()
        health = engine.containers()[NAME]["Config"]["Healthcheck"]
        follower = followed(runner, handle, job)
        status = wait_for_end(runner, handle)
        assert follower.finish(20)
        engine.remove_containers()

    assert (health["Interval"], health["Timeout"]) == (5_000_000_000, 7_000_000_000)
    assert (status.state, job.text()) == (JobState.FINISHED, "0\n")


@pytest.mark.parametrize(
    ("args", "said"),
    [({}, 1), ({"no-healthcheck": True}, 0), ({"health-interval": "10s"}, 0), ({"health-cmd": "x"}, 1)],
)
def test_a_job_is_told_of_it_unless_it_says_otherwise(
    make_job: JobMaker, engine: TestEngine, args: dict[str, Any], said: int
) -> None:
    heard = Heard()
    with image_of(engine, "HEALTHCHECK --interval=20ms CMD true") as image:
        job = make_job("true", image=image, **args)
        job.runner().fetch_image(image, JobContext(job.order, "key", heard.append))

    warnings = [event.message for event in heard if isinstance(event, WarningRaised)]
    sentence = f"The image {image} has its health checked every 0.02 s; on this host that is done every 5 s"
    assert [text.startswith(sentence) for text in warnings if "health" in text] == [True] * said


def test_a_job_that_asks_for_more_of_it_is_refused(make_job: JobMaker, engine: TestEngine) -> None:
    with pytest.raises(PolicyRefused, match=r"there must be at least 5 s between two"):
        make_job("true", **{"health-cmd": "true", "health-interval": "1ms"}).submit()
    assert engine.containers() == {}


def test_an_administrator_may_let_it_be_as_it_is(make_job: JobMaker, engine: TestEngine) -> None:
    rules = ContainerRules(limits=ContainerLimits(health_check_seconds=0.0))
    runner, handle = make_job("sleep 60", rules, **{"health-cmd": "true", "health-interval": "500ms"}).submit()

    assert engine.containers()[NAME]["Config"]["Healthcheck"]["Interval"] == 500_000_000
    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


def test_a_pull_leaves_room_on_the_engines_disk(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an image takes counts for no limit of its job, and a full disk is everybody's."""
    monkeypatch.setattr(pull, "LEAST_FREE_BYTES", 1 << 60)
    image = "127.0.0.1:9/no/such:1"
    job = make_job("true", image=image)

    with pytest.raises(SourceError, match=rf"The pull of {image} was given up: less than .* of the container engine's"):
        job.runner().fetch_image(image, JobContext(job.order, "key", Heard().append))


@pytest.mark.parametrize("line", ["EXPOSE 1-65535", "\n".join(f"LABEL l{n}={'x' * 60_000}" for n in range(9))], ids=len)
def test_an_image_of_huge_settings_is_a_sentence(make_job: JobMaker, engine: TestEngine, line: str) -> None:
    """They would be told, and read, at each look at the container."""
    with image_of(engine, line) as image:
        job = make_job("true", image=image)
        with pytest.raises(SourceError, match=rf"The image {image} has .* of settings \(variables, labels, ports\)"):
            job.runner().fetch_image(image, JobContext(job.order, "key", Heard().append))
