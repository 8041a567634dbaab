"""Somebody logs in with W&B's client, and stays logged in."""

import netrc
import secrets
import string
from pathlib import Path

import pytest

from tests.compat.commands import LOGIN, STAY, VERIFY, command
from tests.compat.queues import Queue
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api

#: They look for the key of a host under its name without the port.
WITHOUT_PORT = ("0.19.11", "0.20.1", "0.21.4", "0.22.3")


@pytest.fixture
def newcomer(wandb_env: WandbEnv, tmp_path: Path) -> WandbEnv:
    """An environment without a login."""
    return WandbEnv.set_up(wandb_env.client, tmp_path, wandb_env.url, wandb_env.key)


def log_in(wandb_env: WandbEnv, key: str, *options: str) -> str:
    return wandb_env.wandb("login", "--host", wandb_env.url, *options, key, environ=wandb_env.strangers)


@command(LOGIN)
def test_login_keeps_the_key_and_the_address(newcomer: WandbEnv) -> None:
    log_in(newcomer, newcomer.key)

    host = newcomer.url.removeprefix("http://")
    login = netrc.netrc(newcomer.home / ".netrc").authenticators(host)
    assert login is not None
    assert login[2] == newcomer.key
    assert newcomer.url in (newcomer.home / ".config/wandb/settings").read_text()


@command(VERIFY)
def test_login_tells_a_right_key_from_a_wrong_one(newcomer: WandbEnv) -> None:
    wrong = "".join(secrets.choice(string.ascii_lowercase) for _ in range(40))

    assert "logged in as: me" in log_in(newcomer, newcomer.key, "--verify", "--relogin")
    with pytest.raises(AssertionError, match="ended with 1"):
        log_in(newcomer, wrong, "--verify", "--relogin")


@command(STAY)
def test_a_command_after_login_needs_no_key_in_the_environment(newcomer: WandbEnv, api: Api) -> None:
    queue = Queue.create(api)
    log_in(newcomer, newcomer.key)

    launch = ("launch", "-d", "alpine:3", "-p", "proj1", "-q", queue.name)
    if newcomer.client.version in WITHOUT_PORT:
        with pytest.raises(AssertionError, match="401"):
            newcomer.wandb(*launch, environ=newcomer.strangers)
        pytest.xfail(
            "For a server with a port in its address this version writes the key under `host:port` in `.netrc` and "
            "looks for it under `host`: set `WANDB_API_KEY`, or add a `machine` line without the port."
        )
    newcomer.wandb(*launch, environ=newcomer.strangers)

    assert queue.only_item()["state"] == "PENDING"
