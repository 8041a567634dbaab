"""The check of shapes itself: it reports what a client would fail on."""

from typing import Any

import pytest

from tests.contract.server.shapes import misfits

QUERY = """query Q($files: Boolean = true) { project(name: "p") {
    run(name: "r") { id config createdAt tags projectId }
    artifactCollection(name: "c") { __typename name ...C } } }
fragment C on ArtifactSequence { latestArtifact @include(if: $files) { id } }"""


def answer(run: dict[str, Any], **collection: Any) -> dict[str, Any]:
    right = {"id": "UnVu", "config": "{}", "createdAt": "2026-01-02T03:04:05", "tags": ["a"], "projectId": "7"}
    sequence = {"__typename": "ArtifactSequence", "name": "c", "latestArtifact": None}
    return {"project": {"run": right | run, "artifactCollection": sequence | collection}}


def test_a_right_answer_fits() -> None:
    assert misfits(QUERY, {}, answer({})) == []
    assert misfits(QUERY, {}, answer({"config": None, "tags": None})) == []


@pytest.mark.parametrize(
    "run",
    [
        {"id": None},
        {"id": "no base64!"},
        {"config": {"a": 1}},
        {"config": "no JSON"},
        {"createdAt": "yesterday"},
        {"tags": [None]},
        {"projectId": "seven"},
        {"projectId": 7},
    ],
    ids=str,
)
def test_a_wrong_field_is_seen(run: dict[str, Any]) -> None:
    assert misfits(QUERY, {}, answer(run)) != []


def test_a_missing_an_extra_and_a_wrongly_named_part_are_seen() -> None:
    missing = answer({})
    del missing["project"]["run"]["tags"]

    assert misfits(QUERY, {}, missing) != []
    assert misfits(QUERY, {"files": False}, answer({})) != []
    assert misfits(QUERY, {}, answer({}, __typename="Collection")) != []
