"""Requests as recorded from W&B's clients (0.20 and 0.31), replayed with this server's ids and names."""

from typing import Any

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.contract.server.recorded_objects import CAPTURES, RecordedObjects, put_in
from tests.contract.server.shapes import misfits
from tests.support.server import Api

GRAPHQL = {name: capture for name, capture in CAPTURES.items() if "operation" in capture}
PROBES = {name: capture for name, capture in GRAPHQL.items() if "__type(" in capture["request_body"]["query"]}
REQUESTS = {name: capture for name, capture in GRAPHQL.items() if name not in PROBES}

#: What 0.20.1 looks for in the answer to a probe; what it does not find, it does not use.
LOOKED_FOR = {
    "InputFields": {"aliases", "artifactCollectionName", "clientID", "enableDigestDeduplication", "runName", "tags"},
    "LaunchAgentIntrospection": {"LaunchAgent"},
    "ProbeCreateRunQueueInput": {"defaultResourceConfigID", "prioritizationMode"},
    "ProbePushToRunQueueInput": {"templateVariableValues", "priority"},
    "ProbeRunInput": {"projectId"},
    "ProbeServerArtifact": {"ttlDurationSeconds", "ttlIsInherited", "aliases", "tags", "historyStep"},
    "ProbeServerCapabilities": {
        "serverInfo",
        "cliVersionInfo",
        "latestLocalVersionInfo",
        "createRunQueue",
        "upsertRunQueue",
        "createDefaultResourceConfig",
        "failRunQueueItem",
        "updateRunQueueItemWarning",
        "createRunFiles",
    },
    "ProbeServerCreateArtifactInput": {
        "historyStep",
        "clientID",
        "sequenceClientID",
        "enableDigestDeduplication",
        "ttlDurationSeconds",
        "tags",
    },
    "ProbeServerCreateLaunchAgentInput": {"agentConfig", "version"},
    "ProbeServerFailRunQueueItemInput": {"message", "stage", "filePaths"},
    "ProbeServerProjectInfo": {"artifact", "enableTracking"},
    "ProbeServerUseArtifactInput": {"usedAs"},
}


@pytest.fixture
def objects(api: Api, queue_and_agent: QueueAndAgent) -> RecordedObjects:
    return RecordedObjects(api, queue_and_agent)


def answered(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    response = api.post(body)
    answer = response.json()
    assert response.status_code == 200, answer
    assert "errors" not in answer
    data: dict[str, Any] = answer["data"]
    return data


def test_every_recorded_request_is_here() -> None:
    assert len(CAPTURES) == 165


@pytest.mark.parametrize("capture", REQUESTS.values(), ids=REQUESTS)
def test_a_recorded_request_is_answered_in_the_shape_that_the_client_reads(
    api: Api, objects: RecordedObjects, capture: dict[str, Any]
) -> None:
    body, operation = capture["request_body"], capture["operation"]
    variables = put_in(body.get("variables") or {}, operation, objects)
    if operation == "popFromRunQueue":
        assert objects.waiting_item

    data = answered(api, body | {"variables": variables})

    assert [field for field, value in data.items() if value is None] == []
    refused = [field for field, value in data.items() if value.get("success") is False]
    assert refused == []
    assert misfits(body["query"], variables, data) == []


@pytest.mark.parametrize("capture", PROBES.values(), ids=PROBES)
def test_a_recorded_probe_finds_what_it_looks_for(api: Api, capture: dict[str, Any]) -> None:
    data = answered(api, capture["request_body"])

    assert LOOKED_FOR[capture["operation"]] <= names_in(data)


def names_in(value: Any) -> set[str]:
    """Return every `name` in an answer, however deep."""
    if isinstance(value, list):
        return {name for inner in value for name in names_in(inner)}
    if not isinstance(value, dict):
        return set()
    own = {value["name"]} if "name" in value else set()
    return own.union(*(names_in(inner) for inner in value.values()))


def test_a_project_or_run_that_is_missing_is_null(api: Api) -> None:
    query = 'query($p: String) { project(name: $p) { run(name: "nothing") { state } sweep(sweepName: "s") { state } } }'
    assert api.run(query, {"p": "no-such-project"}) == {"project": None}
    assert api.run(query, {"p": "model-registry"}) == {"project": {"run": None, "sweep": None}}
