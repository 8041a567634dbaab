"""Worker and shim killed at every step: at most one start, nothing left behind, and an outcome that tells the truth."""

import os
import select
import signal
import time
from pathlib import Path

import psutil
import pytest

from ipc.states import JobState
from tests.contract.runners.support import NAME, Job, wait_for_end
from tests.support.processes import list_of
from tests.support.waiting import wait_until
from workers.runners import local_process
from workers.runners.local_process import LocalProcessRunner
from workers.shim.messages import LaunchOutcome
from workers.shim.prefork import prefork_shim


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that notes each start, runs until it is told to go on, and exits with 3."""
    script = "echo started | tee -a starts; while [ ! -e go ]; do sleep 0.02; done; exit 3"
    return Job(tmp_path / "jobs" / NAME, command=("sh", "-c", script))


def starts(job: Job) -> int:
    path = job.work / "starts"
    return path.read_text().count("started") if path.exists() else 0


def let_end(job: Job) -> None:
    (job.work / "go").touch()


def shims(job: Job) -> list[psutil.Process]:
    """Return all shims of the job, waiting ones too."""
    log = job.directory / "worker.log"
    return list_of(lambda process: Path(f"/proc/{process.pid}/fd/2").readlink() == log)


def processes_of(job: Job) -> list[psutil.Process]:
    """Return what runs of the job itself."""
    return list_of(lambda process: Path(process.cwd()) == job.work)


def test_a_worker_that_dies_before_the_launch_leaves_nothing(job: Job) -> None:
    worker = job.submit_in_worker("prepare")
    worker.wait_for_word()
    wait_until(lambda: len(worker.forked()) == 1, what="the shim")
    waiting = worker.forked()

    worker.kill()

    wait_until(lambda: not any(process.is_running() for process in waiting), what="the end of the shim")
    assert job.runner().find(NAME) is None
    assert not (job.directory / "worker.log").exists()


def test_a_worker_that_dies_in_mid_launch_leaves_nothing(job: Job) -> None:
    job.submit_in_worker("half").wait()

    wait_until(lambda: shims(job) == [], what="the end of the shim")
    assert job.runner().find(NAME) is None
    assert starts(job) == 0


def test_a_worker_that_dies_right_after_the_launch_leaves_the_job_running(job: Job) -> None:
    job.submit_in_worker("send").wait()

    runner = job.runner()
    handle = wait_until(lambda: runner.find(NAME), what="the start of the job")
    assert handle is not None
    let_end(job)

    assert wait_for_end(runner, handle).result == runner.inspect(handle).result
    assert starts(job) == 1


def test_two_workers_racing_for_one_job_start_it_once(job: Job) -> None:
    racers = [job.submit_in_worker() for _ in range(4)]

    handles = [racer.wait_for_word()["done"] for racer in racers]

    assert handles == [handles[0]] * len(racers)
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    let_end(job)
    wait_for_end(runner, handle)
    assert starts(job) == 1
    for racer in racers:
        racer.kill()


@pytest.mark.parametrize("ended", [False, True])
def test_a_shim_whose_launch_comes_late_starts_nothing(ended: bool, job: Job) -> None:
    late = prefork_shim()
    runner, handle = job.submit()
    if ended:
        let_end(job)
        wait_for_end(runner, handle)

    answer = late.launch(LocalProcessRunner(job.order)._shim_launch(job.launch), timeout=10)

    assert answer is not None
    assert answer.outcome is LaunchOutcome.TAKEN
    let_end(job)
    wait_for_end(runner, handle)
    wait_until(lambda: shims(job) == [], what="the end of the late shim")
    assert starts(job) == 1


def test_no_output_is_lost_with_the_worker(job: Job) -> None:
    script = "for i in $(seq 2000); do echo line $i; done; while [ ! -e go ]; do sleep 0.02; done; echo last"
    job.command = ("sh", "-c", script)
    worker = job.submit_in_worker()
    worker.wait_for_word()
    worker.kill()
    let_end(job)

    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    wait_for_end(runner, handle)

    assert job.text() == "".join(f"line {number}\n" for number in range(1, 2001)) + "last\n"


@pytest.mark.parametrize("action", ["kill", "raise", "exit"])
def test_a_shim_that_dies_before_its_note_is_replaced(action: str, job: Job, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    worker = job.submit_in_worker(failpoints=f"shim.started={action}", once=once)
    assert "done" in worker.wait_for_word()
    let_end(job)

    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    assert wait_for_end(runner, handle).state is JobState.FAILED
    assert starts(job) == 1
    worker.kill()


def test_shims_that_die_every_time_fail_the_submission(job: Job) -> None:
    worker = job.submit_in_worker(failpoints="shim.started=kill")

    assert "ended each time" in worker.wait_for_word()["failed"]
    assert job.runner().find(NAME) is None
    assert starts(job) == 0
    worker.kill()


@pytest.mark.parametrize("action", ["kill", "raise", "exit"])
@pytest.mark.parametrize(("point", "most_starts"), [("before_spawn", 0), ("spawned", 1), ("ended", 1)])
def test_a_shim_that_dies_later_fails_the_job_visibly(point: str, most_starts: int, action: str, job: Job) -> None:
    let_end(job)
    worker = job.submit_in_worker(failpoints=f"shim.{point}={action}")
    assert "done" in worker.wait_for_word()
    worker.kill()

    runner, handle = job.submit()

    status = wait_for_end(runner, handle)
    assert status.state is JobState.FAILED
    assert status.result is not None
    assert (status.result.code, status.result.signal) == (None, None)
    assert "exit status is lost" in (status.message or "")
    assert starts(job) <= most_starts
    wait_until(lambda: processes_of(job) == [], what="the end of all that ran")


def test_a_killed_shim_takes_the_job_with_it(job: Job) -> None:
    hidden = "(setsid sleep 60 &); (setsid sh -c 'exec sleep 60' &); (setsid env -i sleep 60 &); (env -i sleep 60 &); "
    job.command = ("sh", "-c", f"{hidden} touch ready; sleep 60")
    runner, handle = job.submit()
    wait_until((job.work / "ready").exists, what="the job's start")
    wait_until(lambda: len(processes_of(job)) >= 5, what="all that the job starts")

    os.kill(int(handle.data["pid"]), signal.SIGKILL)

    status = wait_for_end(runner, handle)
    assert status.state is JobState.FAILED
    assert "its exit status is lost" in (status.message or "")
    wait_until(lambda: processes_of(job) == [], what="the end of all that ran")
    assert runner.inspect(handle) == status


def test_a_job_stopped_with_a_dead_shim_is_stopped(job: Job) -> None:
    runner, handle = job.submit()
    os.kill(int(handle.data["pid"]), signal.SIGKILL)

    runner.cancel(handle, grace_seconds=5)

    assert wait_for_end(runner, handle).state is JobState.STOPPED


def test_a_shim_that_hangs_does_not_prevent_a_stop(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_process, "STOP_MARGIN_SECONDS", 0.2)
    runner, handle = job.submit()
    os.kill(int(handle.data["pid"]), signal.SIGSTOP)

    runner.cancel(handle, grace_seconds=0)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    wait_until(lambda: processes_of(job) == [], what="the end of all that ran")


def test_a_step_of_the_wall_clock_ends_no_grace(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.command = ("sh", "-c", f"trap '' TERM; {job.command[-1]}")
    runner, handle = job.submit()
    wait_until((job.work / "starts").exists, what="the start")
    runner.cancel(handle, grace_seconds=40)
    stopped_at = time.time()

    monkeypatch.setattr(time, "time", lambda: stopped_at + 3600)

    assert runner.inspect(handle).state is JobState.STOPPING
    let_end(job)
    result = wait_for_end(runner, handle).result
    assert result is not None
    assert result.code == 3


def test_a_stop_that_cannot_be_noted_counts_where_its_shim_is_killed(job: Job) -> None:
    runner, handle = job.submit()
    shim = int(handle.data["pid"])
    os.kill(shim, signal.SIGSTOP)
    # As on a full disk: the record cannot be made.
    (job.directory / ".stop.json.new").mkdir()

    runner.cancel(handle, grace_seconds=0)
    os.kill(shim, signal.SIGKILL)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    wait_until(lambda: processes_of(job) == [], what="the end of all that ran")


@pytest.mark.parametrize("point", ["started", "before_spawn"])
def test_a_shim_that_hangs_before_the_start_is_ended(point: str, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_process, "STOP_MARGIN_SECONDS", 0.2)
    worker = job.submit_in_worker(failpoints=f"shim.{point}=stop")
    runner = job.runner()
    handle = wait_until(lambda: runner.find(NAME), what="the shim's lock")
    worker.kill()
    assert handle is not None

    runner.cancel(handle, grace_seconds=0)

    assert wait_for_end(runner, handle).state is JobState.STOPPED
    assert starts(job) == 0


def test_a_shim_that_does_not_answer_is_replaced(job: Job, tmp_path: Path) -> None:
    once = tmp_path / "once"
    once.mkdir()
    worker = job.submit_in_worker(failpoints="shim.started=stop", once=once, answer_timeout=0.5)

    assert "done" in worker.wait_for_word()
    wait_until(lambda: starts(job) == 1, what="the start")
    let_end(job)
    runner = job.runner()
    handle = runner.find(NAME)
    assert handle is not None
    wait_for_end(runner, handle)
    assert starts(job) == 1
    worker.kill()


def test_a_host_that_shuts_down_is_the_reason_given(job: Job) -> None:
    runner, handle = job.submit()

    os.kill(int(handle.data["pid"]), signal.SIGTERM)

    status = wait_for_end(runner, handle)
    assert status.state is JobState.FAILED
    assert "received SIGTERM" in (status.message or "")


def test_a_host_that_was_restarted_is_the_reason_given(job: Job) -> None:
    job.directory.joinpath("started.json").write_text(
        '{"shim": {"pid": 1, "started": 0, "boot": "earlier"}, "command": {"pid": 1, "started": 0, "boot": "earlier"},'
        ' "started_at": 0}'
    )
    (job.directory / "shim.lock").write_text('{"pid": 1, "started": 0, "boot": "earlier"}')

    runner = job.runner()
    handle = runner.find(NAME)

    assert handle is not None
    assert "host was restarted" in (runner.inspect(handle).message or "")


def test_the_descriptor_tells_of_the_end(job: Job) -> None:
    runner, handle = job.submit()
    descriptor = runner.wait_fileno(handle)
    assert descriptor is not None
    poll = select.poll()
    poll.register(descriptor)
    assert poll.poll(0) == []

    let_end(job)

    assert poll.poll(10_000) != []
    assert runner.inspect(handle).state is JobState.FAILED
    # One that asks only now, as when the shim ends between a look at it and the wait, is told at once.
    late = job.runner().wait_fileno(handle)
    assert late is not None
    assert select.select([late], [], [], 0)[0] == [late]
    os.close(descriptor)
