"""Macros in resource args: what is filled in, and what a submitter cannot have by them."""

from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from workers.docker.macros import fill

SPEC = RunSpec("team", "engine", "run1", "local-container", name="first", author="ada")
HOST = {"SECRET": "s3cret", "SHARE": "/mnt", "run_id": "other"}


def filled(value: Any, *granted: str) -> Any:
    return fill({"env": value}, SPEC, "image:1", granted, HOST)["env"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${project_name}/${entity_name}/${run_id}", "engine/team/run1"),
        ("${run_name} ${author} ${image_uri}", "first ada image:1"),
        ("${nothing} $run_id ${}", "${nothing} $run_id ${}"),
        (["A=${run_id}", 3], ["A=run1", 3]),
        (True, True),
    ],
)
def test_what_is_about_the_run_is_filled_in(text: Any, result: Any) -> None:
    assert filled(text) == result


def test_variables_of_the_host_are_there_where_they_are_granted() -> None:
    assert filled("${SECRET} ${SHARE}", "SHARE", "MISSING") == "${SECRET} /mnt"


def test_a_run_without_a_name_is_none_as_with_wandb() -> None:
    spec = RunSpec("team", "engine", "run1", "local-container")

    assert fill({"name": "${run_name}"}, spec, "", (), {}) == {"name": "None"}


def test_arguments_are_a_mapping() -> None:
    assert fill(None, SPEC, "", ()) == {}
    with pytest.raises(InvalidSpec, match="must be a mapping"):
        fill(["--privileged"], SPEC, "", ())
