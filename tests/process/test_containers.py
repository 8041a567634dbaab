"""Jobs with images, from the command line to the end of their containers: real engine, agent and queue server.

Nothing is lost, doubled or left behind, where worker, supervisor or engine die in between.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.failpoints import FAILPOINTS
from launchd import launch
from launchd.agent.journal_reader import read_history
from launchd.api.embedded import launcher
from tests.support.engine import BASE_IMAGE, SAYING_IMAGE, TestEngine
from tests.support.printing_job import LINES, SCRIPT
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine, shared: Path) -> Iterator[Testbed]:
    rules = {"mounts": [f"{shared}:rw"]}
    with make_testbed(tmp_path, account, max_jobs=20, launchd=settings(engine, rules)) as opened:
        yield opened
    engine.remove_containers()


def settings(engine: TestEngine, rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "docker": {"host": engine.address, "unavailable_seconds": 20},
        "policy": {"resources": ["local-container"], "containers": rules},
        "jobs": {"stop_grace_seconds": 1.0},
        "supervision": QUICK,
    }


def push(testbed: Testbed, *command: str, image: str = BASE_IMAGE, **args: Any) -> str:
    return testbed.push(
        *command,
        resource="local-container",
        docker={"docker_image": image},
        resource_args={"local-container": args},
    )


def push_lines(testbed: Testbed, shared: Path, pause: float, then: str = "true") -> str:
    return push(testbed, "sh", "-c", f"{SCRIPT}; {then}", "job", str(pause), volume=f"{shared}:/shared")


def output(testbed: Testbed, item_id: str) -> str:
    """Return the output of a job."""
    name = str(testbed.job(item_id)["workload_name"])
    return (testbed.state_dir / "jobs" / name / "output.log").read_text()


def ended(testbed: Testbed, *item_ids: str) -> list[tuple[str, str]]:
    """Wait until the items are over; returns their states and messages."""
    return [(item.state, item.message or "") for item in testbed.wait_over(item_ids, 50)]


def run_launchd(testbed: Testbed, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``launchd`` as a person does."""
    command = [sys.executable, "-m", "launchd", *words, "--url", testbed.server.url]
    environment = os.environ | {"WANDB_API_KEY": testbed.server.key}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


# -- hooks


@pytest.mark.parametrize("failing", ["", "job_before"])
def test_hooks_run_around_a_container(
    testbed: Testbed, engine: TestEngine, shared: Path, tmp_path: Path, failing: str
) -> None:
    notes, program = shared / "notes", tmp_path / "hook"
    program.write_text(f'#!/bin/sh\necho "$LAUNCHD_HOOK" >> {notes}\n[ "$LAUNCHD_HOOK" != "{failing}" ]\n')
    program.chmod(0o755)
    hooks = {name: [str(program)] for name in ("before", "after", "job_before", "job_after")}
    testbed.configure(max_jobs=1, launchd=settings(engine, {"mounts": [f"{shared}:rw"]}) | {"hooks": hooks})
    testbed.start_agent()

    item = push(testbed, "sh", "-c", "echo job >> /shared/notes", volume=f"{shared}:/shared")

    ((state, message),) = ended(testbed, item)
    ran = ["before", "job_before", "job", "job_after", "after"]
    if failing:
        assert "The hook job_before of this host failed, and the job was not started" in message
        ran.remove("job")
    assert (state, notes.read_text().split()) == ("FAILED" if failing else "FINISHED", ran)
    assert engine.containers() == {}


# -- from the command line, from a job, and from Python


def test_an_image_is_launched_and_followed_to_its_end(testbed: Testbed, engine: TestEngine) -> None:
    testbed.start_agent()

    words = ("launch", "-d", BASE_IMAGE, "-r", "local-container", "-E", "sh -c 'echo hello from $FROM_IMAGE'")
    done = run_launchd(testbed, *words)

    assert done.returncode == 0, done.stderr
    (path,) = testbed.state_dir.glob("jobs/*/output.log")
    assert path.read_text() == "hello from 1\n"
    assert engine.containers() == {}


def test_a_job_that_is_an_image_runs_with_the_images_own_command(testbed: Testbed) -> None:
    testbed.start_agent()
    made = run_launchd(testbed, "job", "create", "image", SAYING_IMAGE, "-p", "tests", "-n", "saying")
    assert made.returncode == 0, made.stderr
    job = f"{testbed.entity}/tests/saying:latest"

    item = testbed.push(resource="local-container", job=job, overrides={"entry_point": [], "args": ["of mine"]})

    assert ended(testbed, item)[0][0] == "FINISHED"
    assert output(testbed, item) == "entry of mine\n"


def test_python_launches_an_image(
    account: Account, engine: TestEngine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", account.url)
    monkeypatch.setenv("WANDB_API_KEY", account.key)
    monkeypatch.setenv("LAUNCHD_STATE_DIR", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("DOCKER_HOST", engine.address)
    try:
        run = launch(docker_image=BASE_IMAGE, entry_point=["sh", "-c", "echo $WANDB_PROJECT $WANDB_DOCKER"])
    finally:
        launcher.end_all()

    assert run.logs() == f"uncategorized {BASE_IMAGE}\n"


# -- what is refused


def test_an_image_that_does_not_exist_is_a_sentence(testbed: Testbed) -> None:
    testbed.start_agent()

    ((state, message),) = ended(testbed, push(testbed, "true", image="127.0.0.1:9/no/such:image"))

    assert state == "FAILED"
    assert message.startswith("The image 127.0.0.1:9/no/such:image could not be pulled: ")
    assert message.endswith("Check its name, and whether this host may pull it.")


def test_the_configuration_of_wandbs_documentation_runs_once_it_is_granted(testbed: Testbed, shared: Path) -> None:
    testbed.start_agent()
    args = {"rm": True, "env": ["COLOUR=red", "SIZE=2"], "shm-size": "8m", "gpus": None}

    refused = push(testbed, "true", volume="/etc:/etc2", **args)
    granted = push(testbed, "sh", "-c", "echo $COLOUR $SIZE; ls /shared", volume=f"{shared}:/shared", **args)

    (state, message), (good, _) = ended(testbed, refused, granted)
    assert (state, good) == ("FAILED", "FINISHED")
    assert message == (
        f"volume /etc is not granted on this host, which grants: {shared}:rw"
        " (launchd.policy.containers.mounts in launch-config.yaml)."
    )
    assert output(testbed, granted) == "red 2\n"


# -- stops and deaths


def test_a_stop_ends_a_container_that_ignores_it(testbed: Testbed, engine: TestEngine) -> None:
    testbed.start_agent()
    item = push(testbed, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    wait_until(lambda: "ready" in _so_far(testbed, item), 20, "the job is ready")

    testbed.ask(command="stop", item=item)

    assert ended(testbed, item)[0][0] == "STOPPED"
    wait_until(lambda: engine.containers() == {}, what="the container is gone")


def test_a_container_that_ran_for_longer_than_it_may_is_stopped(testbed: Testbed) -> None:
    testbed.start_agent()
    item = push(testbed, "sh", "-c", "trap '' TERM; sleep 600", launchd={"max_runtime_seconds": 1})
    (over,) = testbed.wait_over([item])
    assert over.state == "STOPPED"
    assert over.message == "The job was stopped: it ran longer than its limit of 1.0s, set by its submitter."


def test_what_a_container_used_is_in_the_history(testbed: Testbed) -> None:
    testbed.start_agent()
    item = push(testbed, "sh", "-c", "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); done; sleep 6")
    testbed.wait_over([item], timeout=60.0)
    (entry,) = read_history(testbed.state_dir, since=0.0)
    assert (entry.outcome, entry.resource) == ("finished", "local-container")
    assert entry.seconds is not None
    assert 6 <= entry.seconds < 60
    assert entry.cpu_seconds is not None
    assert 0.05 < entry.cpu_seconds < 60
    assert entry.peak_memory_bytes is not None
    assert entry.peak_memory_bytes > 10_000


def _so_far(testbed: Testbed, item_id: str) -> str:
    try:
        return output(testbed, item_id)
    except (OSError, KeyError):
        return ""


def deaths() -> Iterator[Any]:
    """Yield each way of a worker to die; one that hangs takes long to be found, and most of that is for long runs."""
    for failpoint in (name for name in FAILPOINTS if name.startswith("worker.")):
        yield pytest.param(failpoint, "kill")
        is_short = failpoint in ("worker.after_submit", "worker.monitoring")
        yield pytest.param(failpoint, "stop", marks=[] if is_short else pytest.mark.long)


@pytest.mark.parametrize(("failpoint", "action"), list(deaths()))
def test_a_worker_may_die_anywhere(
    testbed: Testbed, engine: TestEngine, shared: Path, failpoint: str, action: str
) -> None:
    fired = testbed.directory / "fired"
    fired.mkdir()
    testbed.start_agent(LAUNCHD_FAILPOINTS=f"{failpoint}={action}", LAUNCHD_FAILPOINTS_ONCE=str(fired))

    items = [push_lines(testbed, shared, pause) for pause in (0, 0.05)]

    wait_until((fired / failpoint).exists, 30, f"the failpoint {failpoint}")
    assert [state for state, _ in ended(testbed, *items)] == ["FINISHED"] * len(items)
    assert [output(testbed, item) for item in items] == [LINES] * len(items)
    assert_ran_once(shared, len(items))
    wait_until(lambda: engine.containers() == {}, what="no container is left")


def assert_ran_once(shared: Path, jobs: int) -> None:
    names = (shared / "runs").read_text().split()
    assert len(names) == len({name.rpartition("-")[0] for name in names}) == jobs


def test_twenty_containers_outlive_their_supervisor(testbed: Testbed, engine: TestEngine, shared: Path) -> None:
    agent = testbed.start_agent()
    items = [push_lines(testbed, shared, 0.5) for _ in range(20)]
    wait_until(lambda: len(_names(shared)) == len(items), 40, "all jobs run")

    agent.kill()
    testbed.start_agent()

    assert [state for state, _ in ended(testbed, *items)] == ["FINISHED"] * len(items)
    assert [output(testbed, item) for item in items] == [LINES] * len(items)
    assert_ran_once(shared, len(items))
    wait_until(lambda: engine.containers() == {}, what="no container is left")


def _names(shared: Path) -> list[str]:
    path = shared / "runs"
    return path.read_text().split() if path.exists() else []


@pytest.mark.parametrize(
    "outage", [lambda engine: engine.stop(signal.SIGKILL), lambda engine: engine.stop()], ids=["killed", "stopped"]
)
def test_the_engine_may_go_and_come_back(
    testbed: Testbed, engine: TestEngine, shared: Path, outage: Callable[[TestEngine], None]
) -> None:
    if not engine.is_ours:
        pytest.skip("the engine is not the tests' own")
    testbed.start_agent()
    # Docker 20.10 drops what a container prints as it ends while the engine is away.
    until_back = "until test -e /shared/back; do sleep 0.1; done"
    items = [push_lines(testbed, shared, 0.2, until_back) for _ in range(2)]
    wait_until(lambda: len(_names(shared)) == 2, 30, "both jobs run")
    # An engine that is killed before it has answered to a start may forget it, which fails the job.
    wait_until(lambda: [testbed.phase(item) for item in items] == ["running"] * 2, 30, "both starts were answered")

    outage(engine)
    wait_until(lambda: testbed.phase(items[0]) == "unknown", 30, "the outage was noticed")
    # What is pushed meanwhile waits for the engine.
    items.append(push_lines(testbed, shared, 0))
    engine.start()
    (shared / "back").touch()

    assert [state for state, _ in ended(testbed, *items)] == ["FINISHED"] * 3
    assert [output(testbed, item) for item in items] == [LINES] * 3
    assert_ran_once(shared, 3)
    wait_until(lambda: engine.containers() == {}, what="no container is left")


# -- secrets


def test_the_key_is_in_no_command_line_label_or_file_of_the_job(testbed: Testbed, engine: TestEngine) -> None:
    testbed.start_agent()
    item = push(testbed, "sh", "-c", 'test -n "$WANDB_API_KEY" && echo ready; sleep 60')
    wait_until(lambda: "ready" in _so_far(testbed, item), 20, "the job runs")
    key = testbed.server.key

    ((_, seen),) = engine.containers().items()

    assert key not in " ".join([seen["Path"], *seen["Args"], str(seen["Config"]["Labels"]), str(seen["HostConfig"])])
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert not any(key.encode() in line for line in lines)
    files = [path for path in testbed.state_dir.rglob("*") if path.is_file()]
    assert [path for path in files if key.encode() in path.read_bytes()] == []
    testbed.ask(command="stop", item=item)
    ended(testbed, item)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True
