"""What only a container can be asked: signals, memory, entry points, the engine's absence, and its log."""

import gc
import hashlib
import io
import json
import os
import re
import signal
import tarfile
import threading
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.errors import InvalidSpec, PolicyRefused, RunnerUnavailable, SourceError, SubmitError
from ipc.gpus import AMD, NVIDIA, Gpu
from ipc.handles import Handle
from ipc.policy_rules import ContainerRules
from ipc.settings import JobsConfig
from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.engine import BASE_IMAGE, QUIT_IMAGE, SAYING_IMAGE, TestEngine
from tests.support.waiting import wait_until
from workers.context import JobContext
from workers.docker import device_watch, records
from workers.docker.engine import Engine, EngineError
from workers.docker.records import StartRecord
from workers.output import OutputWriter
from workers.output_follower import OutputFollower
from workers.processes import ProcessKey
from workers.runners import LaunchRequest, Runner

pytestmark = [
    pytest.mark.engine,
    # The SDK leaves a socket open where it cannot connect.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

JobMaker = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path, engine: TestEngine) -> Iterator[JobMaker]:
    """Jobs with a shell script, resource args and rules."""

    def make(script: str = "true", rules: ContainerRules | None = None, **args: Any) -> Job:
        more = {name: args.pop(name) for name in ("image", "jobs", "command") if name in args}
        return Job(
            tmp_path / "state" / "jobs" / NAME,
            resource="local-container",
            engine=engine.address,
            containers=rules or ContainerRules(),
            knobs=args,
            **{"image": BASE_IMAGE, "command": ("sh", "-c", script)} | more,
        )

    yield make
    engine.remove_containers()
    gc.collect()


def follow(runner: Runner, handle: Handle, job: Job) -> OutputFollower:
    follower = OutputFollower(runner, handle, OutputWriter(job.directory, job.jobs))
    follower.start()
    return follower


def run(job: Job) -> tuple[JobState, str]:
    """Run a job to its end; returns its state and output."""
    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    status = wait_for_end(runner, handle)
    assert follower.finish(20)
    return status.state, job.text()


def submitted(job: Job, **changes: Any) -> tuple[Runner, Handle]:
    """Start a job with a changed launch request."""
    runner = job.runner()
    runner.validate()
    launch = job.launch
    fields = {name: getattr(launch, name) for name in LaunchRequest.__struct_fields__}
    return runner, runner.submit(LaunchRequest(**fields | changes))


# -- the command


@pytest.mark.parametrize(
    ("entry_point", "args", "said"),
    [
        ((), (), "entry command\n"),
        ((), ("mine",), "entry mine\n"),
        (("echo", "other"), (), "other\n"),
        (("echo", "other"), ("words; $HOME",), "other words; $HOME\n"),
    ],
)
def test_the_entry_point_replaces_that_of_the_image_and_args_follow(
    make_job: JobMaker, entry_point: tuple[str, ...], args: tuple[str, ...], said: str
) -> None:
    job = make_job(image=SAYING_IMAGE)
    runner, handle = submitted(job, entry_point=entry_point, args=args)

    follower = follow(runner, handle, job)
    wait_for_end(runner, handle)

    assert follower.finish(20)
    assert job.text() == said


def test_a_flag_names_the_entry_point_where_the_job_has_none(make_job: JobMaker) -> None:
    job = make_job(image=SAYING_IMAGE, entrypoint="printf")
    runner, handle = submitted(job, entry_point=(), args=("%s-", "a", "b"))

    follower = follow(runner, handle, job)
    wait_for_end(runner, handle)

    assert follower.finish(20)
    assert job.text() == "a-b-"


def test_variables_are_the_jobs_then_the_arguments_then_the_agents_own(make_job: JobMaker) -> None:
    arguments = ["LAUNCHD_JOB_NAME=mine", "A=1", "NVIDIA_VISIBLE_DEVICES=all"]
    script = "echo $LAUNCHD_JOB_NAME $A $FROM_IMAGE $NVIDIA_VISIBLE_DEVICES"

    assert run(make_job(script, env=arguments)) == (JobState.FINISHED, "mine 1 1 void\n")


def test_a_command_that_is_not_there_fails_as_in_a_shell_and_says_so(make_job: JobMaker) -> None:
    job = make_job(command=("/no/such/program",))
    runner, handle = job.submit()

    status = wait_for_end(runner, handle)

    assert (status.state, status.result and status.result.code) == (JobState.FAILED, 127)
    assert follow(runner, handle, job).finish(20)
    assert "/no/such/program failed: No such file or directory" in job.text()


def test_a_container_that_cannot_be_started_is_a_sentence_and_goes(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job(command=("/no/such/program",), init=False)

    with pytest.raises(SubmitError, match=r"could not be started: .*/no/such/program"):
        job.submit()
    assert engine.containers() == {}


def test_an_image_that_is_not_there_is_a_sentence(make_job: JobMaker) -> None:
    with pytest.raises(SubmitError, match="localhost/no-such-image:1"):
        make_job(image="localhost/no-such-image:1").submit()


# -- the end


@pytest.mark.parametrize("code", [1, 42, 127, 255])
def test_exit_codes_are_told(make_job: JobMaker, code: int) -> None:
    status = make_job(f"exit {code}").run()

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert (status.result.code, status.result.signal) == (code, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_is_told_from_an_exit_code(make_job: JobMaker, number: signal.Signals) -> None:
    status = make_job(f"kill -{number.value} $$").run()

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert (status.result.code, status.result.signal, status.result.oom_killed) == (None, number, False)


def test_a_job_that_runs_out_of_memory_is_told_so(make_job: JobMaker) -> None:
    status = make_job("dd if=/dev/zero of=/dev/null bs=300M count=1", memory="32m").run()

    assert status.state is JobState.FAILED
    assert status.result is not None
    assert status.result.oom_killed
    assert status.message == "The job was killed because it used more than its memory of 32 MiB."


def test_a_container_that_is_removed_from_outside_is_lost(make_job: JobMaker, engine: TestEngine) -> None:
    runner, handle = make_job("sleep 60").submit()

    engine.remove_containers()

    status = runner.inspect(handle)
    assert status.state is JobState.FAILED
    assert "removed from outside" in (status.message or "")


def test_the_outcome_is_on_disk_before_the_container_goes(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job("exit 3")
    runner, handle = job.submit()
    wait_for_end(runner, handle)

    runner.delete(handle)

    assert engine.containers() == {}
    ended = records.read_end(job.directory)
    assert ended is not None
    assert ended.result.code == 3
    # A worker that knows nothing of it finds the end, and starts nothing.
    assert job.runner().find(NAME) == handle
    assert job.submit()[1] == handle
    assert engine.containers() == {}


def test_the_outcome_that_cannot_be_written_keeps_the_container(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job("exit 3")
    runner, handle = job.submit()
    wait_for_end(runner, handle)
    (job.directory / ".container.json.new").mkdir()

    with pytest.raises(IsADirectoryError):
        runner.delete(handle)

    assert list(engine.containers()) == [NAME]


# -- the stop


def test_a_stop_is_the_signal_of_the_image(make_job: JobMaker) -> None:
    script = "trap 'echo asked; exit 7' QUIT; echo ready; while :; do sleep 0.1; done"
    job = make_job(script, image=QUIT_IMAGE)
    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    wait_until(lambda: "ready" in job.text(), what="the job is ready")

    runner.cancel(handle, grace_seconds=20)

    status = wait_for_end(runner, handle)
    assert follower.finish(20)
    assert (status.state, status.result and status.result.code) == (JobState.STOPPED, 7)
    assert job.text() == "ready\nasked\n"


def test_a_stop_signal_that_there_is_not_is_the_usual_one(make_job: JobMaker, engine: TestEngine) -> None:
    """No Dockerfile makes such an image; an archive that was written by hand does."""
    name = "localhost/launchd-test-odd-signal:1"
    with engine.client() as client:
        client.load_image(with_config(b"".join(client.get_image(BASE_IMAGE)), name, StopSignal="SIGNOPE"))
        try:
            job = make_job("trap 'echo politely; exit 0' TERM; echo ready; sleep 60 & wait", image=name)
            runner, handle = job.submit()
            follower = follow(runner, handle, job)
            wait_until(lambda: "ready" in job.text(), what="the job is ready")
            runner.cancel(handle, 30)
            status = wait_for_end(runner, handle, timeout=10)
            assert follower.finish(20)
        finally:
            engine.remove_containers()
            client.remove_image(name, force=True)

    assert (status.state, job.text()) == (JobState.STOPPED, "ready\npolitely\n")


def with_config(archive: bytes, name: str, **changes: Any) -> bytes:
    """Return an archive of one image, as `docker save` writes it, under another name and with another config."""
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=made, mode="w") as new:
        (manifest,) = json.loads(read_member(old, "manifest.json"))
        config = json.loads(read_member(old, manifest["Config"]))
        config["config"] |= changes
        data = json.dumps(config).encode()
        path = f"{hashlib.sha256(data).hexdigest()}.json"
        add_member(new, path, data)
        for layer in manifest["Layers"]:
            add_member(new, layer, read_member(old, layer))
        add_member(new, "manifest.json", json.dumps([manifest | {"Config": path, "RepoTags": [name]}]).encode())
    return made.getvalue()


def read_member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def test_a_job_that_ignores_its_stop_is_killed_after_the_grace(make_job: JobMaker) -> None:
    job = make_job("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    wait_until(lambda: "ready" in job.text(), what="the job is ready")

    runner.cancel(handle, grace_seconds=0.5)
    assert runner.inspect(handle).state is JobState.STOPPING

    status = wait_for_end(runner, handle)
    assert follower.finish(20)
    assert status.state is JobState.STOPPED
    assert status.result is not None
    assert status.result.signal == signal.SIGKILL


def test_the_next_worker_ends_a_stop_that_its_predecessor_began(make_job: JobMaker) -> None:
    job = make_job("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    runner, handle = job.submit()
    follow(runner, handle, job)
    wait_until(lambda: "ready" in job.text(), what="the job is ready")
    runner.cancel(handle, grace_seconds=0.5)

    status = wait_for_end(job.runner(), handle)

    assert status.state is JobState.STOPPED


def test_a_paused_container_hears_a_stop(make_job: JobMaker, engine: TestEngine) -> None:
    runner, handle = make_job("sleep 60").submit()
    with engine.client() as client:
        client.pause(handle.data["id"])
    assert runner.inspect(handle).message == "the container is paused"

    runner.cancel(handle, grace_seconds=20)

    assert wait_for_end(runner, handle).state is JobState.STOPPED


def test_a_descriptor_tells_the_end_at_once(make_job: JobMaker) -> None:
    runner, handle = make_job("sleep 0.5").submit()
    assert runner.inspect(handle).state is JobState.RUNNING
    descriptor = runner.wait_fileno(handle)
    assert descriptor is not None

    wait_until(lambda: _is_readable(descriptor), what="the descriptor told the end")

    assert runner.inspect(handle).state is JobState.FINISHED


def _is_readable(descriptor: int) -> bool:
    return bool(connection.wait([descriptor], 0))


# -- what is there already


def test_a_container_that_was_never_started_counts_for_nothing(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job("echo once")
    with engine.client() as client:
        client.create_container(BASE_IMAGE, ["true"], name=NAME, labels={"launchd.name": NAME})

    assert job.runner().find(NAME) is None
    assert engine.containers() == {}
    assert run(job) == (JobState.FINISHED, "once\n")


@pytest.mark.parametrize("is_known", [True, False])
def test_a_start_that_an_engine_may_have_forgotten_is_not_done_again(
    make_job: JobMaker, engine: TestEngine, is_known: bool
) -> None:
    """An engine that is killed while it starts a container comes back with one that it has only created."""
    job = make_job("echo once")
    killed = ProcessKey(2**22, 1, "another boot") if is_known else None
    records.write_start(job.directory, StartRecord(killed))
    with engine.client() as client:
        client.create_container(BASE_IMAGE, ["true"], name=NAME, labels={"launchd.name": NAME})
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    assert runner.inspect(handle).state is JobState.FAILED
    runner.delete(handle)


def test_a_start_that_this_engine_was_asked_for_counts_for_nothing_until_it_is_done(
    make_job: JobMaker, engine: TestEngine
) -> None:
    job = make_job("echo once")
    records.write_start(job.directory, StartRecord(Engine(job.engine).process()))
    with engine.client() as client:
        client.create_container(BASE_IMAGE, ["true"], name=NAME, labels={"launchd.name": NAME})
    assert job.runner().find(NAME) is None
    assert run(job) == (JobState.FINISHED, "once\n")


def test_a_container_whose_start_the_engine_forgot_has_failed(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job()
    with engine.client() as client:
        made = client.create_container(BASE_IMAGE, ["true"], name=NAME, labels={"launchd.name": NAME})
    runner, handle = job.runner(), Handle("local-container", NAME, data={"id": made["Id"]})

    assert runner.inspect(handle).state is JobState.FAILED
    runner.delete(handle)

    assert engine.containers() == {}
    assert "forgotten the container's start" in (runner.inspect(handle).message or "")


def test_a_creation_that_meets_its_own_container_adopts_it(make_job: JobMaker, engine: TestEngine) -> None:
    with engine.client() as client:
        client.create_container(BASE_IMAGE, ["echo", "first"], name=NAME, labels={"launchd.name": NAME})

    assert run(make_job("echo second")) == (JobState.FINISHED, "first\n")


def test_a_strangers_container_of_the_name_is_left_alone(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job()
    with engine.client() as client:
        made = client.create_container(BASE_IMAGE, ["true"], name=NAME)
        try:
            assert job.runner().find(NAME) is None
            with pytest.raises(SubmitError, match="which is not the job's"):
                job.submit()
        finally:
            client.remove_container(made["Id"])


# -- the engine away


def test_an_engine_that_is_away_is_no_end_of_a_job(make_job: JobMaker, engine: TestEngine) -> None:
    if not engine.is_ours:
        pytest.skip("the engine is not the tests' own")
    job = make_job("for i in $(seq 40); do echo line $i; sleep 0.1; done")
    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    wait_until(lambda: "line 3\n" in job.text(), what="the job runs")

    engine.stop(signal.SIGKILL)
    for ask in (lambda: runner.inspect(handle), lambda: runner.find(NAME), lambda: runner.cancel(handle, 0)):
        with pytest.raises(RunnerUnavailable, match="does not answer"):
            ask()
    engine.start()

    status = wait_until(lambda: _ended(runner, handle), 30, "the end of the job")
    assert status.state is JobState.FINISHED
    assert follower.finish(30)
    assert job.text() == "".join(f"line {number}\n" for number in range(1, 41))
    assert list(engine.containers()) == [NAME]


def _ended(runner: Runner, handle: Handle) -> Any:
    try:
        status = runner.inspect(handle)
    except RunnerUnavailable:
        return None
    return status if status.result is not None else None


def test_a_frozen_engine_is_away(make_job: JobMaker, engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    if not engine.is_ours:
        pytest.skip("the engine is not the tests' own")
    job = make_job("sleep 60")
    runner, handle = job.submit()
    monkeypatch.setattr("workers.docker.engine.ANSWER_SECONDS", 0.5)
    engine.freeze()
    try:
        with pytest.raises(RunnerUnavailable, match="does not answer"):
            job.runner().inspect(handle)
    finally:
        engine.thaw()

    assert runner.inspect(handle).state is JobState.RUNNING


def test_what_the_engine_refuses_before_there_is_a_container_is_a_sentence(make_job: JobMaker) -> None:
    """It has more rules for names than this agent."""
    image = "a" * 300
    job = make_job(image=image)

    with pytest.raises(SourceError, match=r"The container engine refused to answer: .*more than 255 characters"):
        job.runner().fetch_image(image, JobContext(job.order, "key", lambda _event: None))


def test_a_short_id_is_told_from_a_name(make_job: JobMaker) -> None:
    image = "abcdef123456"
    job = make_job(image=image)

    with pytest.raises(SourceError) as failure:
        job.runner().fetch_image(image, JobContext(job.order, "key", lambda _event: None))
    assert "sha256: with all 64 digits" in (failure.value.hint or "")


def test_an_engine_that_refuses_a_question_beside_the_creation_is_asked_again(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("sleep 60")
    runner = job.runner()

    def refuse(*_: Any) -> None:
        raise EngineError(500, "the engine is not itself")

    with monkeypatch.context() as changed:
        changed.setattr(Engine, "inspect", refuse)
        with pytest.raises(RunnerUnavailable, match="the engine is not itself"):
            runner.submit(job.launch)
    runner.submit(job.launch)


def test_an_image_without_a_command_is_a_sentence(make_job: JobMaker) -> None:
    with pytest.raises(SubmitError, match="No command") as failure:
        make_job(command=()).submit()

    assert failure.value.hint == "The job names no command: the image has to have one of its own."


# -- the output


def test_output_of_both_streams_comes_whole_to_the_next_worker(make_job: JobMaker) -> None:
    script = (
        "for i in $(seq 300); do echo out $i; echo err $i >&2; done; head -c 100000 /dev/zero | tr '\\0' x; sleep 0.5"
    )
    job = make_job(script)
    runner, handle = job.submit()
    first = follow(runner, handle, job)
    wait_until(lambda: len(job.output()) > 2000, what="some output")

    # The first worker is not killed here: both write what they have not, from where the files stand at their start.
    assert first.finish(30)
    second = follow(job.runner(), handle, job)
    assert second.finish(30)

    text = job.text()
    # One stream may come in the middle of a line of the other.
    for stream in ("out", "err"):
        assert re.findall(rf"{stream} \d+\n", text) == [f"{stream} {number}\n" for number in range(1, 301)]
    assert text.count("x") == 100_000


def test_a_terminal_is_a_terminal_and_its_output_comes_once(make_job: JobMaker) -> None:
    job = make_job("test -t 1 && echo a terminal", tty=True)

    assert run(job) == (JobState.FINISHED, "a terminal\r\n")
    follower = follow(job.runner(), Handle("local-container", NAME, data={"id": NAME}), job)
    assert follower.finish(20)
    assert job.text() == "a terminal\r\n"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [20_000_000, pytest.param(1 << 30, marks=pytest.mark.long)])
def test_a_huge_output_is_bounded_here_and_at_the_engine(make_job: JobMaker, engine: TestEngine, size: int) -> None:
    limits = JobsConfig(output_max_bytes=1 << 20, output_files=2)
    job = make_job(f"yes {'0123456789' * 30} | head -c {size}; echo; echo the end", jobs=limits)

    runner, handle = job.submit()
    follower = follow(runner, handle, job)
    wait_for_end(runner, handle, 800)

    assert follower.finish(50)
    kept = sum(path.stat().st_size for path in job.directory.glob("output.log*"))
    assert kept <= 2 << 20
    assert job.text().endswith("the end\n")
    with engine.client() as client:
        log = Path(client.inspect_container(NAME)["LogPath"])
    assert sum(path.stat().st_size for path in log.parent.glob("*-json.log*")) < 6 << 20


# -- the arguments


def test_what_is_not_granted_is_refused_before_anything_is_there(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job(volume="/etc:/host", privileged=True)

    with pytest.raises(PolicyRefused) as caught:
        job.submit()

    assert "volume /etc is not granted on this host" in caught.value.message
    assert "privileged is not granted on this host" in caught.value.message
    assert "launchd.policy.containers.mounts in launch-config.yaml" in caught.value.message
    assert engine.containers() == {}


def test_unknown_flags_are_refused_by_name(make_job: JobMaker) -> None:
    with pytest.raises(InvalidSpec, match="memroy") as caught:
        make_job(memroy="1g").submit()
    assert caught.value.hint == "Did you mean memory?"


def test_the_arguments_have_dockers_effect(make_job: JobMaker, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "data").write_text("from the host")
    script = """
        cat /data/data; echo; touch /data/x 2>/dev/null || echo read-only
        hostname; pwd; id -u; ulimit -n; df -m /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2
        cat /proc/1/comm; echo $RUN; touch /x 2>/dev/null || echo root read-only; touch /tmp/y && echo tmp
        cat /sys/class/net/*/address | wc -l
    """
    job = make_job(
        script,
        rules=ContainerRules(mounts=(str(shared),), users=("1000",)),
        volume=[f"{shared}:/data:ro"],
        hostname="box",
        workdir="/bin",
        user=1000,
        ulimit=["nofile=99:100"],
        shm_size="7m",
        env="RUN=${run_id}",
        **{"read-only": True, "tmpfs": "/tmp:mode=1777", "--network": "none"},
    )

    state, text = run(job)

    words = ["from the host", "read-only", "box", "/bin", "1000", "99", "7", "docker-init", "run", "root read-only"]
    assert text.split("\n") == [*words, "tmp", "1", ""]
    assert state is JobState.FINISHED


def test_no_init_where_it_is_switched_off(make_job: JobMaker) -> None:
    assert run(make_job("cat /proc/1/comm; true", init=False)) == (JobState.FINISHED, "sh\n")


def test_threads_are_left_alone(make_job: JobMaker) -> None:
    before = threading.active_count()
    runner, handle = make_job("true").submit()
    runner.wait_fileno(handle)
    wait_for_end(runner, handle)

    wait_until(lambda: threading.active_count() <= before, what="the thread that waited has ended")


# -- GPUs


def test_an_engine_that_can_give_no_gpus_is_told_with_what_it_lacks(make_job: JobMaker, engine: TestEngine) -> None:
    job = make_job("true", gpus=1)
    runner = job.runner()
    runner.take_gpus(msgspec.structs.replace(job.order, gpus=(Gpu("GPU-a", vendor=NVIDIA),), gpu_lease=1))

    with pytest.raises(SubmitError, match="could not be started") as failure:
        runner.submit(job.launch)

    assert "NVIDIA Container Toolkit" in (failure.value.hint or "")
    assert engine.containers() == {}


@pytest.mark.root
@pytest.mark.parametrize("rules_are_shown", [True, False], ids=["by its rules", "from inside"])
def test_a_container_that_loses_its_device_says_so_now_and_at_its_end(
    make_job: JobMaker, monkeypatch: pytest.MonkeyPatch, rules_are_shown: bool
) -> None:
    """As after a `systemctl daemon-reload`, on a device that stands for a GPU of which the engine knows nothing."""
    monkeypatch.setattr(device_watch, "LOOK_SECONDS", 0.0)
    if not rules_are_shown:
        # As on a host with version 2 of control groups.
        monkeypatch.setattr(device_watch, "_groups_of", lambda _pid: [("", "a/group")])
    job = make_job("trap 'exit 3' TERM; sleep 600 & wait")
    gpu = Gpu("GPU-a", vendor=AMD, files=("/dev/fuse",))
    runner = job.runner()
    runner.take_gpus(msgspec.structs.replace(job.order, gpus=(gpu,), gpu_lease=1))
    handle = runner.submit(job.launch)
    assert runner.inspect(handle).message is None
    container = Engine(job.engine).inspect(NAME)
    assert container is not None
    take_away(container.state.pid, "/dev/fuse")

    message = "The container has lost its access to GPU 0: "
    assert (runner.inspect(handle).message or "").startswith(message)
    Engine(job.engine).kill(container.id, "SIGTERM")
    ended = wait_for_end(job.runner(), handle)
    assert ended.state is JobState.FAILED
    assert ended.result is not None
    assert (ended.result.message or "").startswith(f"The job's process ended with exit code 3. {message}")


def test_a_look_from_inside_has_no_more_rights_than_the_job(make_job: JobMaker) -> None:
    """The shell of the look is the image's, which is the submitter's: as root it could write where the job may not."""
    job = make_job("sleep 600", ContainerRules(user="1000:1000"))
    runner, handle = job.submit()
    engine = Engine(job.engine)

    assert engine.run_in(str(handle.data["id"]), ["sh", "-c", "exit $(id -u | head -c 2)"], 10) == 10
    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


@pytest.mark.root
def test_what_the_jobs_user_could_never_open_is_no_loss(make_job: JobMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_watch, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(device_watch, "_groups_of", lambda _pid: [("", "a/group")])
    job = make_job("sleep 600", ContainerRules(user="1000:1000"))
    runner = job.runner()
    runner.take_gpus(msgspec.structs.replace(job.order, gpus=(Gpu("GPU-a", vendor=AMD, files=("/dev/fuse",)),)))
    handle = runner.submit(job.launch)

    assert runner.inspect(handle).message is None
    assert runner.inspect(handle).message is None
    runner.cancel(handle, 0)
    wait_for_end(runner, handle)


def take_away(pid: int, path: str) -> None:
    """Take a device from the control group of a container."""
    line = next(line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if ":devices:" in line)
    device = Path(path).stat().st_rdev
    group = Path("/sys/fs/cgroup/devices") / line.split(":", 2)[2].lstrip("/")
    (group / "devices.deny").write_text(f"c {os.major(device)}:{os.minor(device)} rwm")
