"""``wandb launch -d IMAGE``: an image goes into a queue, and the server has what the client was told."""

import pytest

from tests.compat.commands import command, queued
from tests.compat.queues import Queue
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api

IMAGE = ("launch", "-d", "alpine:3", "-p", "Proj1", "-E", "echo 'two words'")


@pytest.fixture
def queue(api: Api) -> Queue:
    return Queue.create(api)


@command(queued("-d", "-q"))
def test_an_image_is_queued(wandb_env: WandbEnv, queue: Queue) -> None:
    wandb_env.wandb(*IMAGE, "-q", queue.name, "--name", "first")

    item = queue.only_item()
    assert (item["state"], item["priority"], item["associatedRunId"]) == ("PENDING", 2, None)
    spec = item["runSpec"]
    assert spec["docker"]["docker_image"] == "alpine:3"
    assert spec["overrides"]["entry_point"] == ["echo", "two words"]
    assert (spec["entity"], spec["project"], spec["name"]) == ("me", "Proj1", "first")
    assert spec["resource"] == "local-container"
    assert spec["resource_args"] == {"local-container": {"memory": "1g", "cpus": 1}}


@command(queued("-d", "--priority"), queued("-d", "--set-var"), queued("-d", "-c"))
def test_priority_variables_and_configuration_are_heard(wandb_env: WandbEnv, queue: Queue) -> None:
    config = wandb_env.file(
        "config.json", {"overrides": {"args": ["--fast"], "run_config": {"lr": 0.1}}, "name": "second"}
    )

    wandb_env.wandb(
        *IMAGE, "-q", queue.name, "--priority", "critical", "--set-var", "mem=2g", "--set-var", "n=3", "-c", config
    )

    item = queue.only_item()
    assert item["priority"] == 0
    spec = item["runSpec"]
    assert spec["resource_args"] == {"local-container": {"memory": "2g", "cpus": 3}}
    assert spec["overrides"]["args"] == ["--fast"]
    assert spec["overrides"]["run_config"] == {"lr": 0.1}
    assert spec["name"] == "second"


@command(queued("-d", "-R"))
def test_resource_arguments_are_heard(wandb_env: WandbEnv, queue: Queue) -> None:
    arguments = wandb_env.file("resources.json", {"local-container": {"memory": "4g", "volume": ["/data"]}})

    wandb_env.wandb(*IMAGE, "-q", queue.name, "-R", arguments)

    found = queue.only_item()["runSpec"]["resource_args"]["local-container"]
    assert (found["memory"], found["volume"]) == ("4g", ["/data"])


def test_a_variable_out_of_its_range_is_refused_and_nothing_is_queued(wandb_env: WandbEnv, queue: Queue) -> None:
    with pytest.raises(AssertionError, match=r"maximum|at most"):
        wandb_env.wandb(*IMAGE, "-q", queue.name, "--set-var", "n=9")

    with pytest.raises(ValueError, match="not enough values"):
        queue.only_item()
