"""``wandb job``: what the three kinds of jobs are made of, and what one reads of them."""

import json
from typing import Any

import pytest

from tests.compat.commands import CREATE_CODE, CREATE_GIT, CREATE_IMAGE, DESCRIBE_JOB, LIST_JOBS, command
from tests.compat.jobs import REMOTE, code_directory, git_repository
from tests.compat.kept import Kept
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api

PROJECT = "jobs"

_JOB = """query($n: String!) { project(name: "jobs") { artifact(name: $n) {
    state versionIndex description metadata aliases { alias } artifactType { name }
    files(first: 100) { edges { node { name directUrl } } }
} } }"""
_FILES = "query($id: ID!) { artifact(id: $id) { files(first: 100) { edges { node { name directUrl } } } } }"


def job_of(api: Api, name: str) -> dict[str, Any]:
    job: dict[str, Any] | None = api.run(_JOB, {"n": name})["project"]["artifact"]
    assert job is not None
    assert (job["state"], job["versionIndex"], job["artifactType"]["name"]) == ("COMMITTED", 0, "job")
    return job


def contents(wandb_env: WandbEnv, artifact: dict[str, Any]) -> dict[str, bytes]:
    nodes = [edge["node"] for edge in artifact["files"]["edges"]]
    return {node["name"]: wandb_env.download(node["directUrl"]) for node in nodes}


def source_of(wandb_env: WandbEnv, job: dict[str, Any]) -> dict[str, Any]:
    described = json.loads(contents(wandb_env, job)["wandb-job.json"])
    return {"kind": described["source_type"], **described["source"]}


@pytest.fixture
def image_job(kept: Kept, wandb_env: WandbEnv) -> str:
    return kept.get(wandb_env.client, "image job", lambda: make_image_job(wandb_env))


def make_image_job(wandb_env: WandbEnv) -> str:
    out = wandb_env.wandb(
        "job", "create", "image", "alpine:3", "-p", PROJECT, "-n", "from-image", "-d", "what it does", "-a", "prod"
    )
    assert "Created" in out
    return "from-image"


@command(CREATE_IMAGE)
def test_a_job_from_an_image(image_job: str, wandb_env: WandbEnv, api: Api) -> None:
    job = job_of(api, f"{image_job}:latest")

    assert source_of(wandb_env, job) == {"kind": "image", "image": "alpine:3"}
    assert {"prod", "latest"} <= {alias["alias"] for alias in job["aliases"]}
    assert job["description"] == "what it does"
    assert json.loads(job["metadata"]) == {"_partial": True}


@command(CREATE_CODE)
def test_a_job_from_a_directory(wandb_env: WandbEnv, api: Api) -> None:
    directory = code_directory(wandb_env, "code")

    out = wandb_env.wandb(
        "job", "create", "code", str(directory), "-p", PROJECT, "-n", "from-code", "-E", "python train.py"
    )

    assert "Created" in out
    source = source_of(wandb_env, job_of(api, "from-code:latest"))
    assert (source["kind"], source["entrypoint"]) == ("artifact", ["python", "train.py"])
    code = api.run(_FILES, {"id": source["artifact"].removeprefix("wandb-artifact://_id/")})["artifact"]
    assert contents(wandb_env, code) == {path.name: path.read_bytes() for path in directory.iterdir()}


@command(CREATE_GIT)
def test_a_job_from_a_repository(wandb_env: WandbEnv, api: Api) -> None:
    commit = git_repository(wandb_env)

    wandb_env.wandb(
        "job", "create", "git", REMOTE, "-p", PROJECT, "-n", "from-git", "-E", "python train.py", "-g", commit
    )

    source = source_of(wandb_env, job_of(api, "from-git:latest"))
    assert (source["kind"], source["entrypoint"]) == ("repo", ["python", "train.py"])
    assert source["git"] == {"remote": REMOTE, "commit": commit}


@command(LIST_JOBS)
def test_the_list_of_jobs_names_them(image_job: str, wandb_env: WandbEnv) -> None:
    assert image_job in wandb_env.wandb("job", "list", "-e", "me", "-p", PROJECT)


@command(DESCRIBE_JOB)
def test_a_description_says_what_the_job_is(image_job: str, wandb_env: WandbEnv) -> None:
    out = wandb_env.wandb("job", "describe", f"me/{PROJECT}/{image_job}:prod")

    assert "alpine:3" in out
