"""``wandb launch`` of a repository, a directory and a job: into a queue, and onto launchd's agent."""

from typing import Any

import pytest

from tests.compat.commands import command, queued
from tests.compat.jobs import REMOTE, code_directory, git_repository
from tests.compat.queues import Queue
from tests.compat.runs import run_of
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api, fresh_name
from tests.support.testbed import OVER, Testbed
from tests.support.waiting import wait_until

PROJECT = "launched"
SOURCES = ("-u git", "-u dir", "-j")


def each_source(*options: str) -> pytest.MarkDecorator:
    """Run the test for each source, deciding the rows of these options."""
    rows = {source: [queued(source, option) for option in options] for source in SOURCES}
    return pytest.mark.parametrize("source", [pytest.param(name, marks=command(*rows[name])) for name in SOURCES])


@pytest.fixture
def launch(source: str, wandb_env: WandbEnv, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The words of a command that launches the source."""
    if source == "-j":
        return ("launch", "-j", request.getfixturevalue("job"), "-p", PROJECT)
    uri = REMOTE if source == "-u git" else str(code_directory(wandb_env, "dir"))
    if source == "-u git":
        git_repository(wandb_env)
    name = f"from-{source[3:]}"
    return ("launch", "-u", uri, "-E", "python train.py", "-p", PROJECT, "--job-name", name)


@pytest.fixture
def queue(api: Api) -> Queue:
    return Queue.create(api, "local-process")


def newest_item(api: Api, queue: str) -> dict[str, Any]:
    query = """query($q: String!) { project(name: "model-registry") { runQueue(name: $q) {
        runQueueItems(first: 1) { edges { node { id state associatedRunId exitCode message runSpec } } } } } }"""
    node: dict[str, Any] = api.run(query, {"q": queue})["project"]["runQueue"]["runQueueItems"]["edges"][0]["node"]
    return node


@each_source("-q")
def test_what_is_queued_runs_on_our_agent(
    launch: tuple[str, ...], wandb_env: WandbEnv, testbed: Testbed, api: Api
) -> None:
    config = wandb_env.file("overrides.json", {"overrides": {"args": ["--fast"], "run_config": {"lr": 0.5}}})
    name = fresh_name("launched")

    wandb_env.wandb(*launch, "-q", "default", "-c", config, "--name", name)

    wait_until(lambda: newest_item(api, "default")["state"] in OVER, 40, "the job ended")
    item = newest_item(api, "default")
    assert (item["state"], item["exitCode"]) == ("FINISHED", 0), (item, testbed.log()[-3000:])
    run = run_of(api, PROJECT, item["associatedRunId"])
    assert (run["state"], run["displayName"]) == ("finished", name)
    assert '"lr":0.5' in run["history"][0].replace(" ", "")


@each_source("--priority", "--set-var", "-c")
def test_priority_variables_and_configuration_are_heard(
    launch: tuple[str, ...], wandb_env: WandbEnv, queue: Queue
) -> None:
    config = wandb_env.file(
        "config.json", {"overrides": {"args": ["--fast"], "run_config": {"lr": 0.1}}, "name": "second"}
    )

    wandb_env.wandb(
        *launch, "-q", queue.name, "--priority", "low", "--set-var", "mem=2g", "--set-var", "n=3", "-c", config
    )

    item = queue.only_item()
    assert (item["state"], item["priority"]) == ("PENDING", 3)
    spec = item["runSpec"]
    assert spec["resource_args"] == {"local-process": {"memory": "2g", "cpus": 3}}
    assert (spec["overrides"]["args"], spec["overrides"]["run_config"]) == (["--fast"], {"lr": 0.1})
    assert spec["name"] == "second"
    assert spec["job"].startswith(f"me/{PROJECT}/")


@each_source("-R")
def test_resource_arguments_are_heard(launch: tuple[str, ...], wandb_env: WandbEnv, queue: Queue) -> None:
    arguments = wandb_env.file("resources.json", {"local-process": {"memory": "4g"}})

    wandb_env.wandb(*launch, "-q", queue.name, "-R", arguments, "--priority", "high")

    item = queue.only_item()
    assert item["priority"] == 1
    assert item["runSpec"]["resource_args"]["local-process"]["memory"] == "4g"
