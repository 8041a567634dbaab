"""``wandb.Api()`` on users and teams, and a login with launchd's command line that W&B's client finds."""

import os
import sys
from pathlib import Path

from tests.compat.commands import OUR_LOGIN, PEOPLE, command
from tests.compat.queues import Queue
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api, fresh_name

ROOT = Path(__file__).parents[2]


@command(PEOPLE)
def test_users_and_teams_are_managed(wandb_env: WandbEnv, api: Api) -> None:
    names = {kind: f"{fresh_name(kind)}-{wandb_env.client.version}" for kind in ("user", "team", "robot")}
    answer = wandb_env.script("people", **names)

    assert answer["viewer"][:2] == ["me", "me"]
    assert "me" in answer["viewer"][2]
    assert (answer["found"], answer["invited"], answer["left"]) == ([names["user"]], True, True)
    assert answer["members"] == sorted(["me", names["user"], names["robot"]])
    assert answer["projects"] == ["model-registry"]
    left = api.run("query($e: String) { entity(name: $e) { members { username } } }", {"e": names["team"]})
    assert names["user"] not in {member["username"] for member in left["entity"]["members"]}


@command(OUR_LOGIN)
def test_a_login_with_our_command_line_is_found(wandb_env: WandbEnv, api: Api, tmp_path: Path) -> None:
    newcomer = WandbEnv.set_up(wandb_env.client, tmp_path, wandb_env.url, wandb_env.key)
    queue = Queue.create(api)
    login = [sys.executable, "-m", "launchd", "login", "--host", newcomer.url, newcomer.key]
    done = newcomer.run(login, newcomer.strangers | {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout

    newcomer.wandb("launch", "-d", "alpine:3", "-p", "proj1", "-q", queue.name, environ=newcomer.strangers)

    assert queue.only_item()["runSpec"]["docker"]["docker_image"] == "alpine:3"
