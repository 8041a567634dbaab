"""``wandb.init``, ``log``, ``finish`` and what comes with them: the server has all of it."""

import json
import subprocess
from typing import Any

import pytest

from tests.compat.commands import CONFIG, FILES, FINISH, FORK, INIT, LOG, RESUME, REWIND, STOP, SYNC, command
from tests.compat.kept import AnswerOf
from tests.compat.names import RUNS
from tests.compat.runs import run_of
from tests.compat.wandb_env import SCRIPTS, WandbEnv
from tests.support.server import Api, fresh_name
from tests.support.waiting import wait_until


@pytest.fixture
def first(logged_runs: dict[str, Any], api: Api) -> dict[str, Any]:
    return run_of(api, RUNS, logged_runs["first"])


@command(INIT)
def test_a_run_says_what_it_is(first: dict[str, Any]) -> None:
    assert (first["displayName"], first["group"], first["jobType"]) == ("first try", "group-a", "train")
    assert (sorted(first["tags"]), first["notes"]) == (["one", "two"], "what I wanted to see")
    assert first["user"]["username"] == "me"


@command(CONFIG)
def test_a_runs_configuration_is_kept(first: dict[str, Any]) -> None:
    config = json.loads(first["config"])

    values = {name: entry["value"] for name, entry in config.items() if name != "_wandb"}
    assert values == {"lr": 0.1, "layers": [16, 32], "nested": {"deep": True}, "late": "yes"}


@command(LOG)
def test_metrics_and_summary_are_kept(first: dict[str, Any]) -> None:
    rows = [json.loads(line) for line in first["history"]]

    assert [row["loss"] for row in rows] == [1.0, 0.5, 1 / 3, 0.25, 0.2, 0.125]
    assert [row["_step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert rows[2]["step_name"] == "s2"
    summary = json.loads(first["summaryMetrics"])
    assert (summary["loss"], summary["best"]) == (0.125, 0.2)


@command(FILES)
def test_console_and_files_are_kept(first: dict[str, Any], wandb_env: WandbEnv) -> None:
    lines = [edge["node"]["line"] for edge in first["logLines"]["edges"]]
    files = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in first["files"]["edges"]}

    assert any("hello from the console" in line for line in lines)
    assert {"notes.txt", "config.yaml", "requirements.txt", "wandb-metadata.json"} <= files.keys()
    assert wandb_env.download(files["notes.txt"]) == b"kept beside the run\n"


@command(FINISH)
def test_a_run_ends_as_it_says(logged_runs: dict[str, Any], first: dict[str, Any], api: Api) -> None:
    assert first["state"] == "finished"
    assert run_of(api, RUNS, logged_runs["failed"])["state"] == "failed"


@command(RESUME)
def test_a_resumed_run_goes_on_where_it_was(logged_runs: dict[str, Any], first: dict[str, Any]) -> None:
    assert logged_runs["resumed_at"] == 5
    assert first["historyLineCount"] == 6


@pytest.fixture
def branches(answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of("branches", project=RUNS)


@command(FORK)
def test_a_fork_goes_on_from_a_step_of_another_run(branches: dict[str, Any]) -> None:
    assert branches["fork"]["rows"] == [*([step, step] for step in range(6)), [6, 100], [7, 101]]
    assert branches["fork"]["config"] == {"lr": 1, "own": 2}


@command(REWIND)
def test_a_run_goes_on_from_an_earlier_step(branches: dict[str, Any]) -> None:
    assert branches["rewound"]["rows"] == [*([step, step] for step in range(4)), [4, 200]]


@command(SYNC)
def test_a_run_that_was_offline_is_sent_later(wandb_env: WandbEnv, api: Api) -> None:
    written = wandb_env.script("offline", project=RUNS)

    wandb_env.wandb("sync", written["directory"])

    run = run_of(api, RUNS, written["run"])
    assert (run["state"], run["historyLineCount"]) == ("finished", 3)
    assert json.loads(run["summaryMetrics"])["loss"] == 2


@command(STOP)
@pytest.mark.timeout(180)
def test_a_run_that_is_stopped_from_our_side_ends(wandb_env: WandbEnv, api: Api) -> None:
    name = fresh_name("endless")
    arguments = json.dumps({"project": RUNS, "run": name})
    started = wandb_env.work / "endless.json"
    log = (wandb_env.work / "endless.log").open("wb")
    process = subprocess.Popen(
        [wandb_env.client.python, SCRIPTS / "endless.py", arguments, started],
        cwd=wandb_env.work,
        env=wandb_env.environ,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        wait_until(started.exists, 30, "the run began")
        run = run_of(api, RUNS, name)
        assert run["state"] == "running"
        assert api.mutate("stopRun", "success", id=run["id"]) == {"success": True}

        assert process.wait(100) != 0
    finally:
        process.kill()
        process.wait()
        log.close()
    stopped = wait_until(lambda: _ended(api, name), 20, "the run ended")
    assert stopped["stopped"] is True


def _ended(api: Api, name: str) -> dict[str, Any] | None:
    run = run_of(api, RUNS, name)
    return run if run["state"] != "running" else None
