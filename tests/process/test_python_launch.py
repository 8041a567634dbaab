"""`launchd.launch` in programs of users: what becomes of their runs, however the programs end."""

import gc
import os
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launchd import Api, ExecutionError, LaunchError, launch
from launchd.api.embedded import launcher
from launchd.api.submitted_run import SubmittedRun
from tests.support.program import program
from tests.support.server import Account, RunningServer
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(queue_server: RunningServer) -> Account:
    return queue_server.account()


@pytest.fixture(scope="module", autouse=True)
def environ(server: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a user has in the environment, here and in programs."""
    ours = {
        "WANDB_BASE_URL": server.url,
        "WANDB_API_KEY": server.key,
        "LAUNCHD_STATE_DIR": str(tmp_path_factory.mktemp("state")),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(name, value)
        yield ours
        launcher.end_all()


def sleeping() -> SubmittedRun:
    run = launch(entry_point=["sh", "-c", "echo begun; exec sleep 600"], synchronous=False)
    wait_until(lambda: "begun" in run.logs(), what="the job began")
    return run


def test_a_run_is_waited_for() -> None:
    run = launch(entry_point=["sh", "-c", "echo $WANDB_CONFIG; echo $WANDB_RUN_ID"], parameters={"lr": 0.1})

    assert (run.status, run.exit_code) == ("finished", 0)
    assert run.logs() == f'{{"lr": 0.1}}\n{run.id}\n'


def test_a_run_that_fails_raises_when_it_is_waited_for() -> None:
    with pytest.raises(ExecutionError, match=r"failed at stage run: .* exit code 3\. Its output: /"):
        launch(entry_point=["sh", "-c", "exit 3"])


def test_a_run_that_cannot_start_says_where_and_why() -> None:
    with pytest.raises(ExecutionError, match="failed at stage run") as caught:
        launch(entry_point=["/no/such/command"])
    assert caught.value.status == "failed"


def test_a_run_that_is_over_and_let_go_of_takes_no_memory() -> None:
    run = weakref.ref(launch(entry_point=["true"]))
    gc.collect()
    wait_until(lambda: run() is None, what="the run is freed")


def test_a_run_that_cannot_be_told_is_refused_and_not_waited_for() -> None:
    with pytest.raises(LaunchError, match=r"The run cannot be sent to its agent: .* surrogates not allowed"):
        launch(entry_point=["echo", "\udce4"])
    assert [run for agent in launcher.agents() for run in agent.unfinished()] == []


def test_an_asynchronous_run_is_had_at_once_and_cancelled() -> None:
    run = sleeping()
    wait_until(lambda: run.status == "running", what="the run runs")

    with pytest.raises(TimeoutError, match=r"is not over after 0\.2 s; it is running"):
        run.wait(timeout=0.2)
    run.cancel("it is late")

    assert run.wait(20) is False
    assert (run.status, run.message) == ("stopped", "The job was stopped: it is late.")


def test_the_process_that_runs_it_is_killed_and_the_run_goes_on() -> None:
    run = sleeping()
    (agent,) = launcher.agents()
    killed = agent.pid
    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: agent.pid != killed, what="another agent is there")
    run.cancel("enough")

    assert run.wait(30) is False
    assert run.logs() == "begun\n"


def test_a_run_reports_to_the_server_it_was_given(server: Account) -> None:
    api = Api(base_url=server.url, api_key="k" * 40, entity="somebody", project="Vision")

    run = launch(api, entry_point=["sh", "-c", "echo $WANDB_API_KEY $WANDB_ENTITY $WANDB_PROJECT"])

    assert run.logs() == f"{'k' * 40} somebody vision\n"


def test_a_state_directory_that_cannot_be_made_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LAUNCHD_STATE_DIR", str(tmp_path / "file"))

    with pytest.raises(LaunchError, match="The directory for launches cannot be used"):
        launch(Api(entity="somebody-else"), entry_point=["true"])


# -- how programs end

ASYNCHRONOUS = """
import sys
from launchd import launch
run = launch(entry_point=["sh", "-c", "echo $$ > {pid}; {command}"], synchronous=False)
while not run.logs():
    pass
print("launched")
{rest}
"""


def asynchronous(directory: Path, command: str, rest: str) -> str:
    return ASYNCHRONOUS.format(pid=directory / "pid", command=f"echo begun; {command}", rest=rest)


def job_of(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "pid").read_text()))


def test_a_program_that_comes_to_its_end_waits_for_its_runs(tmp_path: Path, environ: dict[str, str]) -> None:
    source = asynchronous(tmp_path, f"sleep 1; touch {tmp_path}/done", "")

    with program(source, tmp_path, environ) as running:
        assert running.wait() == 0
        assert (tmp_path / "done").exists()


#: Python itself swallows an interrupt between a program's last line and what is done at its exit.
ENDING = 'import atexit; atexit.register(print, "ending")'


@pytest.mark.parametrize(
    ("rest", "words"),
    [("import time; time.sleep(600)", "launched"), ("run.wait()", "launched"), (ENDING, "ending")],
    ids=["busy", "waiting", "ending"],
)
def test_ctrl_c_stops_the_runs_of_a_program(rest: str, words: str, tmp_path: Path, environ: dict[str, str]) -> None:
    with program(asynchronous(tmp_path, "exec sleep 600", rest), tmp_path, environ) as running:
        running.wait_for(words)
        job = job_of(tmp_path)
        running.signal(signal.SIGINT)
        running.wait()

        assert not job.is_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_death_of_a_program_stops_its_runs(number: signal.Signals, tmp_path: Path, environ: dict[str, str]) -> None:
    with program(asynchronous(tmp_path, "exec sleep 600", "run.wait()"), tmp_path, environ) as running:
        running.wait_for("launched")
        job = job_of(tmp_path)
        running.signal(number)
        running.wait()

        wait_until(lambda: not job.is_running(), 20, "the job was stopped")


def test_ctrl_c_in_a_synchronous_launch_stops_the_run(tmp_path: Path, environ: dict[str, str]) -> None:
    source = f"""
from launchd import launch
try:
    launch(entry_point=["sh", "-c", "echo $$ > new; mv new {tmp_path}/pid; exec sleep 600"])
except KeyboardInterrupt:
    print("interrupted")
"""
    with program(source, tmp_path, environ) as running:
        wait_until((tmp_path / "pid").exists, what="the job began")
        job = job_of(tmp_path)
        running.signal(signal.SIGINT)

        assert running.wait() == 0
        assert running.text() == "interrupted\n"
        assert not job.is_running()
