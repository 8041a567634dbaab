"""What people do seldom with ``wandb.Api()``."""

import pytest

from tests.compat.commands import ALERT, SELDOM, VERIFY_HOST, command
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api, fresh_name


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
@command(VERIFY_HOST)
def test_the_server_is_verified(wandb_env: WandbEnv) -> None:
    """But for TLS, which a proxy brings, every check succeeds."""
    done = wandb_env.run([str(wandb_env.client.command), "verify", "--host", wandb_env.url], timeout=100)

    assert done.returncode == 0, done.stdout
    failed = [line.partition(".")[0] for line in done.stdout.splitlines() if "\u274c" in line]
    assert failed == ["Checking requests to base url", "Checking requests made over signed URLs"], done.stdout
