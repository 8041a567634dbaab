"""``wandb launch`` without a queue: the client builds an image and runs it, and launchd's server has what it logs.

For the build it needs images of a public registry, so there is a program in Docker's place that starts containers as
processes. Images that are there are run by a real engine: ``test_launch_container.py``.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compat.commands import LAUNCH, ONLY_QUEUED, at_once, command
from tests.compat.jobs import REMOTE, code_directory, git_repository
from tests.compat.kept import Kept
from tests.compat.runs import run_of
from tests.compat.wandb_env import SCRIPTS, WandbEnv
from tests.support.server import Api, fresh_name

PROJECT = "at-once"
IMAGE = "demo:1"


#: What the client builds an image of.
SOURCES = [source for source in LAUNCH if source != "-d"]


def each_source(*options: str) -> pytest.MarkDecorator:
    """Run the test for each source, deciding the rows of these options."""
    rows = {source: [at_once(source, option) for option in options] for source in SOURCES}
    return pytest.mark.parametrize("source", [pytest.param(name, marks=command(*rows[name])) for name in SOURCES])


@pytest.fixture
def images(kept: Kept, wandb_env: WandbEnv) -> Path:
    """Docker's images, and `docker` beside them."""
    return kept.get(wandb_env.client, "images", lambda: make_images(wandb_env))


def make_images(wandb_env: WandbEnv) -> Path:
    directory = wandb_env.directory / "docker"
    tool = directory / "bin" / "docker"
    tool.parent.mkdir(parents=True)
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} {SCRIPTS / "docker_stand_in.py"} "$@"\n')
    tool.chmod(0o755)
    return directory


@pytest.fixture
def environ(wandb_env: WandbEnv, images: Path) -> dict[str, str]:
    path = f"{images / 'bin'}{os.pathsep}{wandb_env.environ['PATH']}"
    return wandb_env.environ | {"PATH": path, "DOCKER_IMAGES": str(images)}


@pytest.fixture
def launch(source: str, wandb_env: WandbEnv, request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The words of a command that launches the source."""
    match source:
        case "-j":
            words: tuple[str, ...] = ("-j", request.getfixturevalue("job"))
        case "-u git":
            git_repository(wandb_env)
            words = ("-u", REMOTE, "-E", "python train.py", "--job-name", "once-from-git")
        case _:
            words = (
                "-u",
                str(code_directory(wandb_env, "dir")),
                "-E",
                "python train.py",
                "--job-name",
                "once-from-dir",
            )
    return ("launch", *words, "-p", PROJECT)


def run_named(api: Api, name: str) -> dict[str, Any]:
    """The one run of that shown name, and the row that it logged."""
    query = "query($p: String!) { project(name: $p) { runs(first: 100) { edges { node { name displayName } } } } }"
    nodes = [edge["node"] for edge in api.run(query, {"p": PROJECT})["project"]["runs"]["edges"]]
    (run_id,) = [node["name"] for node in nodes if node["displayName"] == name]
    run = run_of(api, PROJECT, run_id)
    (row,) = (json.loads(line) for line in run["history"])
    return run | {"row": row}


@each_source("")
def test_what_is_launched_is_on_our_server(
    launch: tuple[str, ...], wandb_env: WandbEnv, environ: dict[str, str], api: Api
) -> None:
    name = fresh_name("once")

    wandb_env.wandb(*launch, "--name", name, environ=environ)

    run = run_named(api, name)
    assert (run["state"], run["row"]["lr"], run["row"]["arguments"]) == ("finished", 1.0, "")


@each_source("-c", "-R")
def test_configuration_and_resource_arguments_are_heard(
    launch: tuple[str, ...], wandb_env: WandbEnv, environ: dict[str, str], images: Path, api: Api
) -> None:
    name = fresh_name("once")
    overrides = {"args": ["--fast"], "run_config": {"lr": 0.5}}
    config = wandb_env.file("at-once.json", {"overrides": overrides, "name": name})
    resources = wandb_env.file("container.json", {"local-container": {"memory": "4g", "env": ["COLOUR=red"]}})

    wandb_env.wandb(*launch, "-c", config, "-R", resources, environ=environ)

    run = run_named(api, name)
    assert run["state"] == "finished"
    assert {key: run["row"][key] for key in ("lr", "arguments", "colour")} == {
        "lr": 0.5,
        "arguments": "--fast",
        "colour": "red",
    }
    _, options = json.loads((images / "runs").read_text().splitlines()[-1])
    assert ["memory", "4g"] in options


@command(ONLY_QUEUED)
@pytest.mark.parametrize("option", [("--priority", "high"), ("--set-var", "mem=2g")], ids=lambda option: option[0])
def test_what_needs_a_queue_is_refused_by_the_client(
    option: tuple[str, str], wandb_env: WandbEnv, environ: dict[str, str]
) -> None:
    with pytest.raises(AssertionError, match=r"(?i)queue"):
        wandb_env.wandb("launch", "-d", IMAGE, "-p", PROJECT, *option, environ=environ)

    pytest.xfail("The client takes these options with `-q` alone.")
