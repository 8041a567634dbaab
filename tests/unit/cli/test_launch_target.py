"""Run specs from the arguments of `launchd launch`."""

from pathlib import Path

import click
import pytest

from launchd.api.sources import artifact_name
from launchd.cli.launch_target import Target, build_run_spec, find_target


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/me/project.git",
        "ssh://git@host:2222/me/project",
        "git@github.com:me/project.git",
        "file:///srv/git/project",
    ],
)
def test_urls_of_git_repositories(url: str) -> None:
    assert find_target(url, "v1", ()) == Target(repository=url, version="v1")


@pytest.mark.parametrize(
    "name", ["nowhere", "-u", "--upload-pack=evil", "-oProxyCommand=x@host:path", "ftp://host/x", ""]
)
def test_what_is_neither_directory_nor_repository(name: str) -> None:
    with pytest.raises(click.UsageError, match="neither a directory nor the URL"):
        find_target(name, None, ())


def test_a_version_is_for_repositories_and_no_option(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="needs the URL of a git repository"):
        find_target(str(tmp_path), "v1", ())
    with pytest.raises(click.UsageError, match="starts with a dash"):
        find_target("https://host/x", "--upload-pack=evil", ())


def test_a_repository_runs_what_it_runs_by_default() -> None:
    spec = build_run_spec(Target(repository="https://host/x"), {}, {})

    assert spec["git"] == {"repo": "https://host/x", "version": None}
    assert "entry_point" not in spec["overrides"]


def test_a_directory_runs_its_main_script(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match=r"has no main\.py"):
        build_run_spec(Target(directory=tmp_path), {}, {})
    (tmp_path / "main.py").touch()

    assert "entry_point" not in build_run_spec(Target(directory=tmp_path), {}, {})["overrides"]


@pytest.mark.parametrize("value", [3, "x", [1]])
def test_overrides_that_are_no_object_are_refused(value: object) -> None:
    with pytest.raises(click.UsageError, match="overrides in --config must be a JSON object, not"):
        build_run_spec(Target(entry_point=("x",)), {"overrides": value}, {})


def test_a_directory_without_main_script_runs_what_it_is_told(tmp_path: Path) -> None:
    spec = build_run_spec(Target(directory=tmp_path, entry_point=("make",)), {}, {})

    assert spec["overrides"]["entry_point"] == ["make"]


def test_nothing_to_run() -> None:
    with pytest.raises(click.UsageError, match="Say what to launch"):
        build_run_spec(Target(), {"epochs": 3}, {})


def test_a_plain_configuration_is_that_of_the_run() -> None:
    spec = build_run_spec(Target(entry_point=("true",)), {"epochs": 3, "name": "kept"}, {"name": "the run's"})

    assert spec["name"] == "the run's"
    assert spec["overrides"] == {"run_config": {"epochs": 3, "name": "kept"}, "entry_point": ["true"]}


def test_a_launch_config_of_wandb_is_the_base_of_the_run_spec() -> None:
    config = {"overrides": {"args": ["--fast"], "entry_point": ["python"]}, "resource": "fake", "project": "theirs"}

    spec = build_run_spec(Target(), config, {"resource": "local-process", "project": None})

    assert spec == config | {"resource": "local-process"}


def test_a_launch_config_may_have_null_overrides() -> None:
    assert build_run_spec(Target(entry_point=("true",)), {"overrides": None}, {})["overrides"] == {
        "entry_point": ["true"]
    }


@pytest.mark.parametrize(("name", "expected"), [("my code (2)", "code-my-code-2-"), ("train", "code-train")])
def test_the_artifact_has_a_name_that_wandb_takes(name: str, expected: str) -> None:
    assert artifact_name(Path("/srv") / name) == expected
