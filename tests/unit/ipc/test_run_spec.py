"""Run specs as they come: nulls are absences, wrong types are named, W&B's spellings are kept."""

from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.run_spec import parse_run_spec

MINIMAL: dict[str, Any] = {"entity": "e", "project": "p"}


def test_nulls_count_as_absent() -> None:
    spec = parse_run_spec(MINIMAL | {"overrides": None, "resource_args": None, "docker": None, "git": None})
    assert (spec.overrides.args, spec.resource_args, spec.docker_image, spec.git.repo) == ((), {}, None, None)


def test_nulls_within_overrides_count_as_absent() -> None:
    assert parse_run_spec(MINIMAL | {"overrides": {"args": None, "run_config": None}}).overrides.run_config == {}


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_text_counts_as_absent(empty: str | None) -> None:
    keys = ("run_id", "resource", "uri", "job", "image_uri", "name", "author", "sweep_id")
    spec = parse_run_spec(MINIMAL | dict.fromkeys(keys, empty))
    assert len(spec.run_id) == 8
    assert (spec.resource, spec.uri, spec.job, spec.docker_image) == ("local-container", None, None, None)
    assert (spec.name, spec.author, spec.sweep_id) == (None, None, None)


def test_the_project_is_in_lower_case() -> None:
    assert parse_run_spec(MINIMAL | {"project": "MNIST"}).project == "mnist"


def test_a_missing_run_id_is_drawn() -> None:
    drawn = {parse_run_spec(MINIMAL).run_id for _ in range(50)}
    assert len(drawn) == 50
    assert all(len(run_id) == 8 and run_id.isalnum() for run_id in drawn)


def test_a_given_run_id_is_kept() -> None:
    assert parse_run_spec(MINIMAL | {"run_id": "abc"}).run_id == "abc"


def test_no_resource_means_wandbs_default() -> None:
    assert parse_run_spec(MINIMAL).resource == "local-container"


def test_the_legacy_image_uri_counts() -> None:
    assert parse_run_spec(MINIMAL | {"docker": {}, "image_uri": "i:1"}).docker_image == "i:1"


def test_a_scheduler_is_known_by_its_uri() -> None:
    assert parse_run_spec(MINIMAL | {"uri": "placeholder-uri-scheduler"}).is_scheduler


@pytest.mark.parametrize(
    ("uri", "repo", "version"),
    [
        ("https://github.com/team/demo", "https://github.com/team/demo", None),
        ("https://github.com/team/demo.git", "https://github.com/team/demo.git", None),
        ("https://github.com/team/demo/tree/v1.2", "https://github.com/team/demo", "v1.2"),
        ("https://gitlab.com/team/demo/-/tree/main/", "https://gitlab.com/team/demo", "main"),
        ("git@git.example:team/demo", "git@git.example:team/demo", None),
        ("https://git.example/team/demo.git", "https://git.example/team/demo.git", None),
        ("https://wandb.example/me/p/runs/abc", None, None),
        ("https://example.com/page", None, None),
    ],
)
def test_a_uri_alone_may_name_a_repository(uri: str, repo: str | None, version: str | None) -> None:
    spec = parse_run_spec(MINIMAL | {"uri": uri})
    assert (spec.git.repo, spec.git.version) == (repo, version)
    assert spec.names_a_run == ("/runs/" in uri)


def test_a_uri_beside_a_source_is_left_alone() -> None:
    uri = "https://github.com/team/demo"
    assert parse_run_spec(MINIMAL | {"uri": uri, "job": "e/p/j:v0"}).git.repo is None
    assert parse_run_spec(MINIMAL | {"uri": uri, "git": {"repo": "r", "version": "v"}}).git.repo == "r"


def test_a_code_directory_is_known_by_its_uri() -> None:
    assert parse_run_spec(MINIMAL | {"uri": "wandb-artifact://_id/QXJ0"}).code_artifact == "QXJ0"


def test_unknown_keys_are_left_alone() -> None:
    parse_run_spec(MINIMAL | {"additional_services": [{"config": {}}], "builder": {"type": "noop"}})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"overrides": []}, "overrides in the run spec is a list, and must be an object."),
        ({"overrides": {"args": "--lr"}}, "overrides.args in the run spec is text, and must be a list."),
        ({"overrides": {"args": [1]}}, "overrides.args[0] in the run spec is a whole number, and must be text."),
        ({"resource_args": "x"}, "resource_args in the run spec is text, and must be an object."),
        (
            {"resource_args": {"kubernetes": 1}},
            "resource_args.kubernetes in the run spec is a whole number, and must be an object.",
        ),
        ({"entity": 7}, "entity in the run spec is a whole number, and must be text."),
        ({"project": ""}, "The run spec names no entity or no project."),
        ({"_resume_count": "many"}, "_resume_count in the run spec is text, and must be a whole number."),
        ({"docker": {"docker_image": 5}}, "docker.docker_image in the run spec is a whole number, and must be text."),
        ({"job": "e/p/" + 5000 * "n"}, "job in the run spec has more than 4096 characters."),
    ],
)
def test_a_wrong_value_is_named_with_its_type_and_the_right_one(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_run_spec(MINIMAL | change)
    assert refused.value.message == sentence


def test_nulls_within_the_parts_count_as_absent() -> None:
    spec = parse_run_spec(
        MINIMAL
        | {"docker": {"docker_image": None, "user_id": None}, "git": {"repo": None}, "resource_args": {"vertex": None}}
        | {"registry": {"url": None}, "additional_services": [{"config": None}]}
    )
    assert (spec.docker_image, spec.git.repo, spec.resource_args) == (None, None, {})


@pytest.mark.parametrize(
    ("arg", "meant"),
    [
        ("'q'", "q"),
        ("'my queue'", "my queue"),
        ("--job", "--job"),
        ("it's", "it's"),
        ("a b", "a b"),
        ("'a' 'b'", "'a' 'b'"),
    ],
)
def test_a_schedulers_arguments_lose_the_quotes_meant_for_a_shell(arg: str, meant: str) -> None:
    overrides = {"overrides": {"args": [arg]}}
    assert parse_run_spec(MINIMAL | overrides | {"uri": "placeholder-uri-scheduler"}).overrides.args == (meant,)
    assert parse_run_spec(MINIMAL | overrides).overrides.args == (arg,)
