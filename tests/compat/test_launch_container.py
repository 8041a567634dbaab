"""``wandb launch -d IMAGE`` with a real engine, by the client and by launchd's agent; and image jobs of runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from launchd.client.jobs import list_jobs
from tests.compat.clients import WandbClient
from tests.compat.commands import CUSTOM_SWEEP, IMAGE_JOB, at_once, command, queued
from tests.compat.container_image import make_client_image
from tests.compat.kept import Kept
from tests.compat.runs import run_of
from tests.compat.test_launch_at_once import run_named
from tests.compat.test_sweeps import PATIENCE, name_in, rates_of, sweep_of
from tests.compat.wandb_env import SCRIPTS, WandbEnv
from tests.support.engine import SAYING_IMAGE, TestEngine
from tests.support.server import Api, fresh_name
from tests.support.testbed import OVER, Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

PROJECT = "at-once"

SCRIPT = """\
import os, pathlib, sys, wandb

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
memory = next(path.read_text().strip() for path in map(pathlib.Path, LIMITS) if path.exists())
with wandb.init(config={"lr": 1.0}) as run:
    colour, arguments = os.environ.get("COLOUR", "none"), " ".join(sys.argv[1:])
    run.log({"lr": run.config["lr"], "arguments": arguments, "colour": colour, "memory": memory})
"""


@pytest.fixture
def image(client: WandbClient, kept: Kept, wandb_env: WandbEnv, engine: TestEngine) -> str:
    """An image that logs what it was given."""

    def make() -> str:
        name = f"localhost/launchd-test-client:{client.version}"
        code = wandb_env.directory / "in-image"
        code.mkdir()
        (code / "train.py").write_text(SCRIPT)
        make_client_image(client, engine, name, code, ("python", "train.py"), wandb_env.directory)
        return name

    return kept.get(client, "image", make)


@pytest.fixture
def environ(wandb_env: WandbEnv, engine: TestEngine) -> dict[str, str]:
    """The client's own runner uses the program `docker`, and that the engine of the tests."""
    return wandb_env.environ | {"DOCKER_HOST": engine.address}


class Agent(NamedTuple):
    """Launchd's agent for a queue of containers."""

    testbed: Testbed
    queue: str

    def assert_finished(self) -> str:
        """Wait for the end of the queue's one item, which is well; returns the run's id."""
        items = self.testbed.client.queue_items(self.testbed.entity, self.queue)
        (item,) = self.testbed.wait_over([one.id for one in items], 60)
        assert (item.state, item.exit_code) == ("FINISHED", 0), (item, self.testbed.log()[-3000:])
        return str(item.associated_run_id)


@pytest.fixture
def agent(testbed: Testbed, engine: TestEngine, tmp_path: Path) -> Iterator[Agent]:
    """That agent, at the testbed's server."""
    settings: dict[str, Any] = {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"], "containers": {"networks": ["host"]}},
    }
    queue = fresh_name("containers")
    testbed.client.create_queue(testbed.entity, queue, resource="local-container")
    with make_testbed(tmp_path, testbed.server, launchd=settings) as opened:
        opened.configure(max_jobs=2, launchd=settings, queues=[queue])
        opened.start_agent()
        yield Agent(opened, queue)
    engine.remove_containers()


# -- by the client


@command(at_once("-d", ""))
def test_what_is_launched_is_on_our_server(image: str, wandb_env: WandbEnv, environ: dict[str, str], api: Api) -> None:
    name = fresh_name("once")

    wandb_env.wandb("launch", "-d", image, "-p", PROJECT, "--name", name, environ=environ)

    run = run_named(api, name)
    assert (run["state"], run["row"]["lr"], run["row"]["arguments"]) == ("finished", 1.0, "")


@command(at_once("-d", "-c"), at_once("-d", "-R"))
def test_configuration_and_resource_arguments_are_heard(
    image: str, wandb_env: WandbEnv, environ: dict[str, str], api: Api
) -> None:
    name = fresh_name("once")
    overrides = {"args": ["--fast"], "run_config": {"lr": 0.5}}
    config = wandb_env.file("in-container.json", {"overrides": overrides, "name": name})
    arguments = {"local-container": {"memory": "600m", "env": ["COLOUR=red"]}}

    wandb_env.wandb(
        *("launch", "-d", image, "-p", PROJECT, "-c", config),
        *("-R", wandb_env.file("container.json", arguments)),
        environ=environ,
    )

    assert_heard(run_named(api, name))


def assert_heard(run: dict[str, Any]) -> None:
    assert run["state"] == "finished"
    row = run["row"]
    assert (row["lr"], row["arguments"], row["colour"]) == (0.5, "--fast", "red")
    assert int(row["memory"]) == 600 << 20


# -- by launchd's agent


@command(queued("-d", "-q"), queued("-d", "-c"), queued("-d", "-R"))
def test_what_is_queued_runs_on_our_agent(image: str, wandb_env: WandbEnv, agent: Agent, api: Api) -> None:
    config = wandb_env.file("overrides.json", {"overrides": {"args": ["--fast"], "run_config": {"lr": 0.5}}})
    arguments = wandb_env.file(
        "container.json", {"local-container": {"memory": "600m", "env": ["COLOUR=red"], "rm": True}}
    )

    wandb_env.wandb("launch", "-d", image, "-q", agent.queue, "-p", PROJECT, "-c", config, "-R", arguments)

    run_id = agent.assert_finished()
    run = run_of(api, PROJECT, run_id)
    assert_heard(run | {"row": json.loads(run["history"][0])})


# -- a job that a run in a container became


@command(IMAGE_JOB)
def test_a_run_in_a_container_becomes_an_image_job_that_builds_nothing(
    wandb_env: WandbEnv, agent: Agent, engine: TestEngine
) -> None:
    made = wandb_env.script("image_job", project=fresh_name("in-image"), image=SAYING_IMAGE)
    (job,) = list_jobs(agent.testbed.client, made["entity"], made["project"])
    name = f"{made['entity']}/{made['project']}/{job.artifact_sequence.name}"
    # The image's tag is an alias of its job.
    assert "1" in [alias.alias for alias in job.aliases]
    before = images_of(engine)

    wandb_env.wandb("launch", "-j", f"{name}:1", "-q", agent.queue, "-p", PROJECT)

    agent.assert_finished()
    (output,) = agent.testbed.state_dir.glob("jobs/*/output.log")
    assert output.read_text() == "entry command\n"
    assert images_of(engine) == before


# -- a sweep whose runs are chosen by a job


@pytest.mark.long
@command(CUSTOM_SWEEP)
def test_a_scheduler_that_is_a_job_chooses_the_runs(
    image: str, client: WandbClient, wandb_env: WandbEnv, agent: Agent, engine: TestEngine, api: Api
) -> None:
    code = wandb_env.directory / "scheduler"
    code.mkdir()
    (code / "scheduler.py").write_text((SCRIPTS / "optuna_scheduler.py").read_text())
    scheduler = f"localhost/launchd-test-scheduler:{client.version}"
    program, packages = ("python", "scheduler.py"), ("wandb", "optuna")
    make_client_image(client, engine, scheduler, code, program, wandb_env.directory, packages)
    for name, made_of in (("scheduler", scheduler), ("training", image)):
        wandb_env.wandb("job", "create", "image", made_of, "-p", PROJECT, "-n", name)
    launch = {"queue": agent.queue, "resource": "local-container"}
    config = {
        "job": f"me/{PROJECT}/training:latest",
        "method": "custom",
        "run_cap": 2,
        "metric": {"name": "lr", "goal": "minimize"},
        "parameters": {"lr": {"min": 0.1, "max": 0.9}},
        "launch": launch,
        "scheduler": {"job": f"me/{PROJECT}/scheduler:latest", "num_workers": 1},
    }
    path = wandb_env.file("custom.json", config)

    name = name_in(wandb_env.wandb("launch-sweep", "-e", "me", "-p", PROJECT, "-q", agent.queue, path))

    def items() -> dict[str, str]:
        found = agent.testbed.client.queue_items(agent.testbed.entity, agent.queue)
        return {str(item.associated_run_id): item.state for item in found}

    wait_until(lambda: set(items().values()) <= OVER, PATIENCE, "the end of the scheduler and its runs")
    sweep = sweep_of(api, PROJECT, name)
    assert (sweep["state"], sweep["method"]) == ("FINISHED", "custom"), outputs_of(agent)
    rates = rates_of(sweep)
    assert len(set(rates)) == 2
    assert all(0.1 <= rate <= 0.9 for rate in rates)
    assert list(items().values()) == ["FINISHED"] * 3


def outputs_of(agent: Agent) -> str:
    """Return what the jobs wrote, for a failure."""
    return "\n".join(path.read_text()[-3000:] for path in agent.testbed.state_dir.glob("jobs/*/output.log"))


def images_of(engine: TestEngine) -> set[str]:
    with engine.client() as client:
        return {image["Id"] for image in client.images(all=True)}
