"""``wandb.Api()`` reads back and changes what was logged."""

from typing import Any

import pytest

from tests.compat.commands import CHANGE_ARTIFACT, CHANGE_RUN, READ_ARTIFACT, READ_RUN, READ_RUNS, command
from tests.compat.kept import AnswerOf
from tests.compat.names import ARTIFACT, ARTIFACTS, RUNS


@pytest.fixture
def of_runs(logged_runs: dict[str, Any], answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of("read_runs", project=RUNS, run=logged_runs["first"], failed=logged_runs["failed"])


@pytest.fixture
def of_artifacts(logged_artifacts: dict[str, Any], answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of(
        "read_artifacts",
        project=ARTIFACTS,
        artifact=ARTIFACT,
        producer=logged_artifacts["producer"],
        consumer=logged_artifacts["consumer"],
    )


@command(READ_RUN)
def test_a_run_is_read_back(of_runs: dict[str, Any]) -> None:
    assert_is_the_run(of_runs["run"])


def assert_is_the_run(run: dict[str, Any]) -> None:
    """Check what was read of the first run that the script `runs` logs."""
    assert (run["state"], run["name"], run["group"], run["job_type"]) == ("finished", "first try", "group-a", "train")
    assert (run["tags"], run["notes"], run["user"]) == (["one", "two"], "what I wanted to see", "me")
    assert run["config"] == {"lr": 0.1, "layers": [16, 32], "nested": {"deep": True}, "late": "yes"}
    assert (run["summary"]["loss"], run["summary"]["best"]) == (0.125, 0.2)
    assert run["history"] == run["scanned"] == [1.0, 0.5, 1 / 3, 0.25, 0.2, 0.125]
    assert {"notes.txt", "config.yaml", "wandb-metadata.json"} <= set(run["files"])
    assert run["file"] == "kept beside the run\n"


@command(READ_RUNS)
def test_runs_are_listed_filtered_and_ordered(of_runs: dict[str, Any], logged_runs: dict[str, Any]) -> None:
    runs, first, failed = of_runs["runs"], logged_runs["first"], logged_runs["failed"]

    assert [name for name in runs["all"] if name in (first, failed)] == [first, failed]
    assert runs["failed"] == [failed]
    assert runs["by_config"] == [first]
    assert runs["count"] == len(runs["all"]) >= 2


@command(CHANGE_RUN)
def test_a_run_is_changed(of_runs: dict[str, Any]) -> None:
    assert of_runs["changed"] == {"tags": ["seen"], "late": "no", "judged": "good"}


@command(READ_ARTIFACT)
def test_an_artifact_is_read_back(of_artifacts: dict[str, Any], logged_artifacts: dict[str, Any]) -> None:
    assert_is_the_artifact(of_artifacts["artifact"], logged_artifacts)


def assert_is_the_artifact(artifact: dict[str, Any], logged_artifacts: dict[str, Any]) -> None:
    """Check what was read of what the script `artifacts` logs."""
    assert (artifact["version"], artifact["type"], artifact["state"]) == ("v1", "dataset", "COMMITTED")
    assert (artifact["description"], artifact["metadata"]) == ("what it is", {"rows": 7})
    assert set(artifact["aliases"]) - {"v1"} == {"latest", "second"}
    assert artifact["entries"] == ["a.bin", "deep/b c.txt", "elsewhere.csv", "empty"]
    assert artifact["logged_by"] == logged_artifacts["producer"]
    assert artifact["used_by"] == [logged_artifacts["consumer"]]
    assert "dataset" in artifact["types"]
    assert (artifact["collections"], artifact["versions"]) == ([ARTIFACT, f"{ARTIFACT}-changing"], ["v0", "v1"])
    assert artifact["exists"] == [True, False]
    assert {f"{ARTIFACT}:v0", f"{ARTIFACT}:v1"} <= set(artifact["of_run"])
    assert artifact["used_of_run"] == [f"{ARTIFACT}:v0"]


@command(CHANGE_ARTIFACT)
def test_an_artifact_is_changed(of_artifacts: dict[str, Any]) -> None:
    assert of_artifacts["changed"] == {"version": "v0", "description": "changed", "metadata": {"rows": 8}}
