"""A user's program that uses all of the Python API is clean under `mypy --strict`, and a wrong one is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

RIGHT = """
from launchd import (
    AbstractRun, Api, ExecutionError, LaunchAgent, LaunchError, QueuedRun, Run, RunQueue, SubmittedRun, __version__,
    create_and_run_agent, launch, launch_add,
)


class WandbLikeApi:
    api_key: str | None = None

    def settings(self) -> dict[str, str]:
        return {}


api = Api(overrides={"entity": "me"}, timeout=3)
queue: RunQueue = api.create_run_queue("gpu", "local-process", template_variables={"x": {"type": "string"}})
items: list[QueuedRun] = queue.items
queued: QueuedRun = launch_add(uri=".", config={"lr": 0.1}, template_variables={"x": 1}, priority="high", api=api)
finished: Run = queued.wait_until_finished(timeout=1.5)
state: str = finished.state
config: dict[str, object] = finished.config
try:
    run: SubmittedRun = launch(WandbLikeApi(), entry_point=("echo", "hello"), synchronous=False)
    anything: AbstractRun = run
    ended: bool = anything.wait(timeout=1)
    text: str = run.logs() + run.id + run.status
except ExecutionError as error:
    how: str = error.run_id + error.status
except LaunchError:
    pass
agent = LaunchAgent(api, {"queues": ["gpu"]})
names: list[str] = [agent.name(), *agent.thread_ids, __version__]
running: int = agent.num_running_jobs
create_and_run_agent(None, {"queues": ["gpu"]})
"""

WRONG = """
from launchd import launch, launch_add

launch(entry_point="echo", synchronus=False)
launch_add(docker_image=3).wait_until_finished(timeout="1")
"""


def mypy(source: str, directory: Path) -> tuple[int, str]:
    program = directory / "program.py"
    program.write_text(source)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        "",
        "--cache-dir",
        str(directory),
        str(program),
    ]
    environ = {**os.environ, "MYPYPATH": str(ROOT)}
    done = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(180)
def test_a_program_that_uses_it_all_is_clean(tmp_path: Path) -> None:
    assert mypy(RIGHT, tmp_path) == (0, "Success: no issues found in 1 source file\n")


@pytest.mark.timeout(180)
def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    code, output = mypy(WRONG, tmp_path)

    assert code == 1
    assert 'Unexpected keyword argument "synchronus" for "launch"' in output
    assert 'Argument "docker_image" to "launch_add" has incompatible type "int"' in output
    assert 'Argument "timeout" to "wait_until_finished"' in output
