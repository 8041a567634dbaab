"""Run specs from arguments: which key each argument sets, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from launchd.api.errors import LaunchError
from launchd.api.run_spec import LaunchArgs, draft_spec


def spec_of(**args: Any) -> dict[str, Any]:
    return draft_spec(LaunchArgs(**args), "me", "uncategorized").spec


def run_config(spec: dict[str, Any]) -> Any:
    return spec["overrides"]["run_config"]


def test_a_command_alone_is_a_job() -> None:
    assert spec_of(entry_point=["echo", "hello"]) == {
        "entity": "me",
        "project": "uncategorized",
        "overrides": {"entry_point": ["echo", "hello"]},
    }


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 0.1},
        {"lr": 0.1, "resource_args": {"kubernetes": {}}},
        {"overrides": {"run_config": {"lr": 0.1}}},
        {"lr": 0.2, "overrides": {"run_config": {"lr": 0.1}}},
    ],
)
def test_a_config_is_the_configuration_of_the_run_or_a_run_spec_or_both(config: dict[str, Any]) -> None:
    before = repr(config)

    assert run_config(spec_of(entry_point=["x"], config=config)) == {"lr": 0.1}
    assert repr(config) == before


def test_parameters_win_over_config() -> None:
    spec = spec_of(entry_point=["x"], config={"lr": 0.1, "epochs": 3}, parameters={"lr": 0.5})

    assert run_config(spec) == {"lr": 0.5, "epochs": 3}


def test_arguments_win_over_config() -> None:
    config = {"project": "theirs", "resource": "kubernetes", "name": "a", "docker": {"docker_image": "a", "user_id": 1}}
    spec = spec_of(config=config, project="ours", resource="vertex", name="b", docker_image="b")

    assert (spec["project"], spec["resource"], spec["name"]) == ("ours", "vertex", "b")
    assert spec["docker"] == {"docker_image": "b", "user_id": 1}


def test_the_agents_sections_are_not_the_runs_configuration() -> None:
    spec = spec_of(
        entry_point=["x"], config={"builder": {"type": "noop"}, "environment": {"type": "aws"}, "launchd": {}}
    )

    assert "run_config" not in spec["overrides"]
    assert spec["builder"] == {"type": "noop"}


def test_a_repository_with_its_version() -> None:
    spec = spec_of(uri="https://github.com/wandb/examples", version="v1", repository="registry/x")

    assert spec["git"] == {"repo": "https://github.com/wandb/examples", "version": "v1"}
    assert spec["registry"] == {"url": "registry/x"}
    assert "uri" not in spec


def test_the_version_of_a_repository_in_the_config() -> None:
    assert spec_of(config={"git": {"repo": "https://h/x"}}, version="v1")["git"]["version"] == "v1"


def test_a_directory_runs_its_main_script(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"has no main\.py"):
        draft_spec(LaunchArgs(uri=str(tmp_path)), "me", "p")
    (tmp_path / "main.py").touch()

    draft = draft_spec(LaunchArgs(uri=str(tmp_path)), "me", "p")

    assert draft.directory == tmp_path
    assert "entry_point" not in draft.spec["overrides"]
    assert "uri" not in draft.spec


def test_what_is_stored_already_or_runs_a_sweep_is_passed_on() -> None:
    assert spec_of(uri="wandb-artifact://_id/abc", entry_point=["x"])["uri"] == "wandb-artifact://_id/abc"
    assert spec_of(uri="placeholder-uri-scheduler", entry_point=["x"])["uri"] == "placeholder-uri-scheduler"


@pytest.mark.parametrize(
    ("job", "full"),
    [
        ("wandb/jobs/Hello World:latest", "wandb/jobs/Hello World:latest"),
        ("wandb/jobs/train", "wandb/jobs/train:latest"),
        ("vision/train:v3", "me/vision/train:v3"),
        ("train", "me/uncategorized/train:latest"),
    ],
)
def test_the_whole_name_of_a_job(job: str, full: str) -> None:
    assert spec_of(job=job)["job"] == full


def test_a_run_goes_to_the_project_of_its_job() -> None:
    assert spec_of(job="wandb/jobs/train:v1")["project"] == "jobs"
    assert spec_of(job="wandb/jobs/train:v1", project="mine")["project"] == "mine"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({}, "Say what to run"),
        ({"job": "a/b/c:d", "docker_image": "x"}, "not job and docker_image"),
        ({"uri": "https://h/x", "job": "a/b/c:d"}, "not job and uri"),
        ({"job": "a/b/c:d", "config": {"docker": {"docker_image": "x"}}}, "not job and docker_image"),
        ({"job": "a/b/c/d:e"}, "is no name of a job"),
        ({"job": "a//c:e"}, "is no name of a job"),
        ({"uri": "/nowhere/at/all"}, "neither a directory nor the URL"),
        ({"uri": "https://h/x", "version": "--upload-pack=evil"}, "is not a branch"),
        ({"docker_image": "x", "version": "v1"}, "this job has none"),
        ({"entry_point": "python train.py"}, "a list of words"),
        ({"entry_point": ["x"], "config": {"overrides": {"args": "--fast"}}}, "a list of words"),
        ({"entry_point": ["x"], "config": {"overrides": ["x"]}}, "is a mapping"),
        ({"entry_point": ["x"], "config": "lr=0.1"}, "config is a mapping, not 'lr=0.1'"),
        ({"entry_point": ["x"], "parameters": ["lr"]}, "parameters is a mapping"),
        ({"entry_point": ["x"], "resource_args": 5}, "resource_args is a mapping"),
        ({"config": {"docker": "alpine:3"}}, r"config\['docker'\] is a mapping"),
        ({"config": {"git": "https://h/x"}}, r"config\['git'\] is a mapping"),
        ({"entry_point": ["x"], "name": 5}, "name is text, not 5"),
        ({"entry_point": ["x"], "run_id": "a/b"}, "run_id 'a/b' has the character '/'"),
        ({"entry_point": ["x"], "project": "50%"}, "project '50%' has the character '%'"),
        ({"entry_point": ["x"], "config": {"resource": "kubernets"}}, "Did you mean 'kubernetes'"),
    ],
)
def test_what_makes_no_sense_is_refused(args: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LaunchError, match=sentence):
        spec_of(**args)
