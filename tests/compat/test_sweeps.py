"""Sweeps: of ``wandb sweep`` with ``wandb agent``, and of ``wandb launch-sweep`` on a queue of launchd's agent."""

import json
import re
from typing import Any

import pytest

from tests.compat.commands import LAUNCH_SWEEP, RESUME_SWEEP, SWEEP, command
from tests.compat.jobs import code_directory
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api
from tests.support.testbed import OVER, Testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

RATES = [0.25, 0.5]
GRID = {"method": "grid", "metric": {"name": "lr", "goal": "minimize"}, "parameters": {"lr": {"values": RATES}}}

#: A scheduler of W&B's looks for runs every 5 s, and starts as slowly as a client.
PATIENCE = 90.0

_SWEEP = """query($p: String!, $s: String!) { project(name: $p) { sweep(sweepName: $s) {
    state method runs { edges { node { name state config history(samples: 10) } } } } } }"""

_ITEMS = """query { project(name: "model-registry") { runQueue(name: "default") {
    runQueueItems(first: 100) { edges { node { state associatedRunId } } } } } }"""


def sweep_of(api: Api, project: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.run(_SWEEP, {"p": project, "s": name})["project"]["sweep"]
    return found


def rates_of(sweep: dict[str, Any]) -> list[float]:
    """The rate of each run, as the server has it in the run's configuration; fails where its history has another."""
    runs = [edge["node"] for edge in sweep["runs"]["edges"]]
    for run in runs:
        (row,) = (json.loads(row) for row in run["history"])
        assert row["lr"] == json.loads(run["config"])["lr"]["value"]
    return sorted(json.loads(run["config"])["lr"]["value"] for run in runs)


def states_by_run(api: Api) -> dict[str, str]:
    """The state of each item of the queue that launchd's agent serves, by the name of its run."""
    edges = api.run(_ITEMS)["project"]["runQueue"]["runQueueItems"]["edges"]
    return {edge["node"]["associatedRunId"]: edge["node"]["state"] for edge in edges}


def name_in(said: str) -> str:
    found = re.search(r"/sweeps/(\w+)", said)
    assert found is not None, said
    return found[1]


@command(SWEEP)
def test_a_sweep_is_made_and_its_agent_runs_it(wandb_env: WandbEnv, api: Api) -> None:
    directory = code_directory(wandb_env, "swept")
    config = GRID | {"program": "train.py", "command": ["python", "train.py"]}
    path = wandb_env.file("swept/sweep.json", config)

    name = name_in(wandb_env.wandb("sweep", "-e", "me", "-p", "swept", path))
    done = wandb_env.run(
        ["sh", "-c", f"cd {directory} && exec wandb agent me/swept/{name}"],
        timeout=PATIENCE,
    )

    assert done.returncode == 0, done.stdout
    sweep = sweep_of(api, "swept", name)
    assert (sweep["state"], sweep["method"], rates_of(sweep)) == ("FINISHED", "grid", RATES)


@pytest.mark.long
@command(RESUME_SWEEP)
def test_a_grid_is_whole_after_a_preemption_and_after_a_run_is_deleted(wandb_env: WandbEnv) -> None:
    answer = wandb_env.script("sweeps", project="points")

    preempted, resumed = answer["preempted"], answer["resumed"]
    assert (preempted["state"], preempted["rates"]) == ("FINISHED", [1e-5, 0.5])
    first, again, *_ = preempted["started"]
    assert first == again
    assert (resumed["state"], resumed["rates"]) == ("FINISHED", [1e-5, 0.5])
    assert [rate for _, rate in resumed["started"][3:]] == [1e-5]


@command(LAUNCH_SWEEP)
def test_a_sweep_is_launched_and_our_agent_runs_it(wandb_env: WandbEnv, testbed: Testbed, api: Api, job: str) -> None:
    launch = {"queue": "default", "resource": "local-process"}
    path = wandb_env.file("launched.json", GRID | {"job": job, "launch": launch, "scheduler": {"num_workers": 2}})

    name = name_in(wandb_env.wandb("launch-sweep", "-e", "me", "-p", "launched-swept", "-q", "default", path))

    wait_until(lambda: set(states_by_run(api).values()) <= OVER, PATIENCE, f"the end of the scheduler of {name}")
    sweep, items = sweep_of(api, "launched-swept", name), states_by_run(api)
    assert (sweep["state"], rates_of(sweep)) == ("FINISHED", RATES), testbed.log()[-3000:]
    runs = [edge["node"]["name"] for edge in sweep["runs"]["edges"]]
    assert [items[run] for run in (name, *runs)] == ["FINISHED"] * 3
