"""What people do seldom with ``wandb.Api()``."""

import re
from typing import Any

import pytest

from tests.compat.commands import ALERT, EXPORTS, REFUSED, REPORTS, SELDOM, VERIFY_HOST, command
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api, fresh_name
from tests.support.waiting import patience


@pytest.mark.long
@command(SELDOM)
def test_what_is_done_seldom_works(wandb_env: WandbEnv, api: Api) -> None:
    team = fresh_name("seldom")
    api.mutate("createTeam", "entity { name }", teamName=team)

    answer = wandb_env.script("odds", project="seldom", team=team)

    assert answer.pop("sweep").isalnum()
    assert answer == {
        "region": "r",
        "commit_hash": 20,
        "types": ["dataset", "model"],
        "paged": ["dataset", "model"],
        "versions": ["v1", "v0"],
        "expected": 3,
        "prior": True,
        "run": True,
        "artifact": True,
        "collection": True,
        "members": ["MEMBER"],
    }


@pytest.mark.long
@command(ALERT)
def test_an_alert_is_kept_once_in_its_time(wandb_env: WandbEnv, api: Api) -> None:
    run = wandb_env.script("alerts", project="alerts")["run"]

    query = 'query($r: String!) { project(name: "alerts") { run(name: $r) { alerts { title text severity } } } }'
    alerts = api.run(query, {"r": run})["project"]["run"]["alerts"]
    assert alerts == [{"title": "Loss is NaN", "text": "at step 7", "severity": "ERROR"}]


@pytest.mark.long
@pytest.mark.timeout(600)
@command(VERIFY_HOST)
def test_the_server_is_verified(wandb_env: WandbEnv) -> None:
    """But for TLS, which a proxy brings, every check succeeds."""
    done = wandb_env.run([str(wandb_env.client.command), "verify", "--host", wandb_env.url], timeout=patience(100))

    assert done.returncode == 0, done.stdout
    failed = [line.partition(".")[0] for line in done.stdout.splitlines() if "\u274c" in line]
    assert failed == ["Checking requests to base url", "Checking requests made over signed URLs"], done.stdout


@pytest.mark.long
@command(REPORTS)
def test_reports_and_workspaces_are_kept(wandb_env: WandbEnv) -> None:
    answer = wandb_env.script("reports", project="reports")

    assert "without an account" in answer.pop("shared")
    assert answer == {
        "back": ["Renamed", "about loss", ["H1", "P", "PanelGrid"]],
        "listed": ["Renamed"],
        "workspace": ["Second", ["Section"]],
        "is_another": True,
        "deleted": True,
        "left": [],
    }


@pytest.mark.long
@command(REFUSED)
def test_what_is_not_here_is_refused_with_a_sentence(wandb_env: WandbEnv) -> None:
    answer = wandb_env.script("refusals")

    sentence = "This queue server (has|keeps) no|is not enabled on this wandb server"
    assert {name: said for name, said in answer.items() if not re.search(sentence, said)} == {}
    assert {"integrations", "registries"} <= answer.keys()


@pytest.mark.long
@command(EXPORTS)
def test_the_history_of_an_ended_run_is_exported(wandb_env: WandbEnv) -> None:
    answer = wandb_env.script("exports", project="exports")

    if not answer:
        pytest.xfail("The client has no such method.")
    first, second = answer["first"], answer["second"]
    rows = [{"_step": 0, "x": 0.0}, *({"_step": n, "x": n / 2, "name": f"s{n}", "deep": {"w": n}} for n in range(1, 6))]
    assert (len(first["files"]), len(second["files"])) == (1, 2)
    assert (_rows_of(first["files"]), _rows_of(second["files"])) == (rows[:3], rows)
    assert (_plain(first["scanned"]), _plain(second["scanned"])) == (rows[:3], rows)
    assert (first["x"], second["x"]) == ([row["x"] for row in rows[:3]], [row["x"] for row in rows])


def _rows_of(files: list[str]) -> list[dict[str, Any]]:
    from pyarrow import parquet

    return _plain([row for file in files for row in parquet.read_table(file).to_pylist()])


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The values that were logged, and the step."""
    return [{key: row[key] for key in ("_step", "x", "name", "deep") if row.get(key) is not None} for row in rows]
