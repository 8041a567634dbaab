"""What people do seldom with ``wandb.Api()``."""

import pytest

from tests.compat.commands import ALERT, SELDOM, command
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
