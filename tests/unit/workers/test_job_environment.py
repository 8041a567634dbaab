"""The environment of a job against the table of W&B's agent (launch behaviour, section 2.5)."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.run_spec import Overrides
from ipc.work_order import JobUser
from workers.builders import Build
from workers.context import JobContext
from workers.job_environment import CHUNK_CHARACTERS, job_environment
from workers.process_environment import process_environment
from workers.runners import LaunchRequest
from workers.runners.local_process import host_environment

HOST = {"PATH": "/usr/bin:/bin", "HOME": "/home/agent", "WANDB_API_KEY": "agent-key", "AWS_SECRET_ACCESS_KEY": "s3cret"}

ALWAYS = {
    "WANDB_BASE_URL": "http://localhost:1",
    "WANDB_API_KEY": "key1",
    "WANDB_PROJECT": "engine",
    "WANDB_ENTITY": "ada",
    "WANDB_LAUNCH": "True",
    "WANDB_RUN_ID": "run1",
    "WANDB_LAUNCH_QUEUE_NAME": "gpus",
    "WANDB_LAUNCH_QUEUE_ENTITY": "team",
    "WANDB_LAUNCH_TRACE_ID": "item1",
    "WANDB_CONFIG": "{}",
    "WANDB_LAUNCH_FILE_OVERRIDES": "{}",
    "WANDB_ARTIFACTS": "{}",
}

ContextMaker = Callable[..., JobContext]


def wandb_variables(context: JobContext) -> dict[str, str]:
    environment = job_environment(context.order, context.api_key)
    return {name: value for name, value in environment.items() if name.startswith("WANDB")}


def on_this_host(context: JobContext, build: Build, worker: dict[str, str]) -> dict[str, str]:
    """Return the whole environment of the job as a process of a host whose worker has that of ``worker``."""
    variables = job_environment(context.order, context.api_key)
    launch = LaunchRequest(context.order.name, ("true",), variables, context.work, build)
    return host_environment(launch, None, worker)


def test_a_plain_job_gets_what_is_always_there_in_this_order(context: JobContext) -> None:
    assert list(wandb_variables(context).items()) == list(ALWAYS.items())


@pytest.mark.parametrize(
    ("spec", "added"),
    [
        ({"docker_image": "python:3.12"}, {"WANDB_DOCKER": "python:3.12"}),
        ({"name": "first try"}, {"WANDB_NAME": "first try"}),
        ({"author": "ada"}, {"WANDB_USERNAME": "ada"}),
        ({"sweep_id": "sweep1"}, {"WANDB_SWEEP_ID": "sweep1"}),
        ({"resume_count": 2}, {"WANDB_RESUME": "allow"}),
        ({"job": "ada/engine/train:v1"}, {"WANDB_ARTIFACTS": '{"_wandb_job": "ada/engine/train:v1"}'}),
        (
            {"job": "ada/engine/train:v1", "overrides": Overrides(artifacts={"data": "ada/engine/data:v2"})},
            {"WANDB_ARTIFACTS": '{"_wandb_job": "ada/engine/train:v1", "data": "ada/engine/data:v2"}'},
        ),
        ({"overrides": Overrides(run_config={"lr": 0.1, "ü": None})}, {"WANDB_CONFIG": '{"lr": 0.1, "\\u00fc": null}'}),
        (
            {"overrides": Overrides(files={"conf.yaml": {"a": 1}})},
            {"WANDB_LAUNCH_FILE_OVERRIDES": '{"conf.yaml": {"a": 1}}'},
        ),
    ],
)
def test_what_the_run_spec_adds(spec: dict[str, Any], added: dict[str, str], make_context: ContextMaker) -> None:
    assert wandb_variables(make_context(spec=spec)) == {**ALWAYS, **added}


def test_the_optional_ones_stand_between_the_run_and_the_queue(make_context: ContextMaker) -> None:
    spec = {"docker_image": "i", "name": "n", "author": "a", "sweep_id": "s", "resume_count": 1}

    names = list(wandb_variables(make_context(spec=spec)))

    start = names.index("WANDB_RUN_ID")
    optional = ["WANDB_DOCKER", "WANDB_NAME", "WANDB_USERNAME", "WANDB_SWEEP_ID", "WANDB_RESUME"]
    assert names[start + 1 : start + 7] == [*optional, "WANDB_LAUNCH_QUEUE_NAME"]


def test_with_the_submitters_own_key_no_user_is_named(make_context: ContextMaker) -> None:
    context = make_context(spec={"author": "ada"}, submitter_key=True)

    assert "WANDB_USERNAME" not in wandb_variables(context)


def test_no_project_is_no_variable(make_context: ContextMaker) -> None:
    assert "WANDB_PROJECT" not in wandb_variables(make_context(spec={"project": ""}))


@pytest.mark.parametrize(("name", "field"), [("WANDB_CONFIG", "run_config"), ("WANDB_LAUNCH_FILE_OVERRIDES", "files")])
@pytest.mark.parametrize("excess", [0, 1, CHUNK_CHARACTERS, CHUNK_CHARACTERS + 1])
def test_a_long_value_comes_in_chunks(name: str, field: str, excess: int, make_context: ContextMaker) -> None:
    value = {"k": "x" * (CHUNK_CHARACTERS - len('{"k": ""}') + excess)}
    text = json.dumps(value)

    overrides = msgspec.convert({field: value}, Overrides)

    variables = wandb_variables(make_context(spec={"overrides": overrides}))

    found = {key: chunk for key, chunk in variables.items() if key == name or key.startswith(f"{name}_")}
    if excess == 0:
        assert found == {name: text}
    else:
        assert list(found) == [f"{name}_{number}" for number in range(len(found))]
        assert "".join(found.values()) == text
        assert len(found) == 1 + -(-excess // CHUNK_CHARACTERS)
        assert max(map(len, found.values())) == CHUNK_CHARACTERS


def test_the_artifacts_are_never_chunked(make_context: ContextMaker) -> None:
    artifacts = {"a": "x" * 2 * CHUNK_CHARACTERS}

    variables = wandb_variables(make_context(spec={"overrides": Overrides(artifacts=artifacts)}))

    assert json.loads(variables["WANDB_ARTIFACTS"]) == artifacts


def test_nothing_secret_of_the_agents_reaches_a_job(context: JobContext) -> None:
    environment = on_this_host(context, Build(), {**HOST, "LAUNCHD_API_KEY": "agent-key"})

    assert not {"agent-key", "s3cret"} & set(environment.values())
    assert environment["HOME"] == "/home/agent"


def test_a_jobs_own_variables_hold_nothing_of_this_host(context: JobContext) -> None:
    environment = job_environment(context.order, context.api_key)

    assert all(name.startswith(("WANDB_", "LAUNCHD_")) for name in environment)


def test_a_jobs_own_variables_come_before_those_of_the_host(context: JobContext) -> None:
    environment = on_this_host(context, Build(), {**HOST, "WANDB_ENTITY": "another"})

    assert environment["WANDB_ENTITY"] == "ada"


def test_a_proxy_is_passed_on_unless_it_holds_a_password() -> None:
    given = {"https_proxy": "http://proxy:3128", "http_proxy": "http://user:secret@proxy:3128"}

    environment = process_environment(given, None)

    assert environment["https_proxy"] == "http://proxy:3128"
    assert "http_proxy" not in environment


def test_what_was_built_comes_first_on_the_path(context: JobContext) -> None:
    build = Build(environment={"VIRTUAL_ENV": "/venvs/a"}, path=("/venvs/a/bin",))

    environment = on_this_host(context, build, HOST)

    assert environment["PATH"] == f"/venvs/a/bin:/usr/bin:/bin:{Path(sys.executable).parent}"
    assert environment["VIRTUAL_ENV"] == "/venvs/a"


def test_every_job_carries_its_workload_name(context: JobContext) -> None:
    environment = job_environment(context.order, context.api_key)

    assert environment["LAUNCHD_JOB_NAME"] == context.order.name


def test_a_job_of_another_user_gets_that_users_home() -> None:
    user = JobUser(64000, 64000, "/home/of-its-own", shell="/bin/dash", temporary="/home/of-its-own/tmp")
    worker = {"HOME": "/home/agent", "USER": "agent", "LOGNAME": "agent", "SHELL": "/bin/bash", "TMPDIR": "/agents"}

    environment = process_environment(worker, user)

    expected = ("/home/of-its-own", "job-64000", "job-64000", "/bin/dash", "/home/of-its-own/tmp")
    assert tuple(environment[name] for name in ("HOME", "USER", "LOGNAME", "SHELL", "TMPDIR")) == expected
