"""Arguments of a queue on a command line: alone, or below the name of their resource, as run specs have them."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from launchd.cli.json_args import resource_arguments

MANIFEST = {"namespace": "training", "spec": {}}


@pytest.mark.parametrize(
    ("resource", "given"),
    [
        ("kubernetes", MANIFEST),
        ("kubernetes", {"kubernetes": MANIFEST}),
        ("kubernetes", {"resource_args": {"kubernetes": MANIFEST}}),
        ("vertex", {"gcp-vertex": MANIFEST}),
        ("gcp-vertex", {"vertex": MANIFEST}),
        ("of-another-version", {"of-another-version": MANIFEST}),
    ],
)
def test_the_name_of_the_resource_may_stand_around_its_arguments(resource: str, given: Any, tmp_path: Path) -> None:
    (tmp_path / "queue.json").write_text(json.dumps(given))

    assert resource_arguments(str(tmp_path / "queue.json"), "--config", resource) == MANIFEST


@pytest.mark.parametrize(
    "given", [{"kubernetes": {}, "spec": {}}, {"kubernetes": "text"}, {"sagemaker": {}}, {"resource_args": []}, {}]
)
def test_anything_else_is_left_as_it_is(given: Any) -> None:
    assert resource_arguments(json.dumps(given), "--config", "kubernetes") == given


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="it is not JSON"):
        resource_arguments("{", "--config", "kubernetes")
