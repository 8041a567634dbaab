"""Requests as W&B's clients really send them (0.20 and 0.31), replayed with our ids and names put in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.contract.server.conftest import Stage
from tests.support.server import Api, fresh_name

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.json"))
MAKES_A_QUEUE = {"createRunQueue", "CreateRunQueue", "upsertRunQueue", "UpsertRunQueue"}
NEEDS_A_WAITING_ITEM = {"popFromRunQueue", "DeleteFromRunQueue"}
# The second half of logging an artifact needs uploads: see test_artifacts.py.
ELSEWHERE = {"CommitArtifact"}


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


@pytest.fixture
def known(api: Api, stage: Stage, capture: dict[str, Any]) -> dict[str, Any]:
    """What stands for each variable that names a thing of the server."""
    _add_template_variables(api, stage)
    item = api.push(stage.queue, {"project": "proj1"})
    run_id = _run(api, stage)
    operation = capture["operation"]
    if operation not in NEEDS_A_WAITING_ITEM:
        assert api.claim(stage.agent, fresh_name("claim")) == [item]
    config = _config_id(api)
    artifact = _artifact(api)
    ids = {"stopRun": run_id, "StopRun": run_id, "GetDefaultResourceConfig": config, "DeleteRunQueue": stage.queue_id}
    queue = fresh_name("new") if operation in MAKES_A_QUEUE else stage.queue
    return {
        **dict.fromkeys(("entity", "entityName"), "me"),
        **dict.fromkeys(("queueName", "runQueue", "runQueueName"), queue),
        **dict.fromkeys(("agentId", "launchAgentId"), stage.agent),
        **dict.fromkeys(("itemId", "runQueueItemId"), item),
        "queueID": stage.queue_id,
        "queues": [stage.queue_id],
        "defaultResourceConfigID": config,
        "artifactID": artifact,
        "baseArtifactID": None,
        "id": ids.get(operation, artifact),
    }


def _add_template_variables(api: Api, stage: Stage) -> None:
    defaults: dict[str, tuple[str, object]] = {"a": ("string", "x"), "mem": ("string", "1g"), "n": ("integer", 1)}
    variables = {name: {"schema": {"type": kind, "default": value}} for name, (kind, value) in defaults.items()}
    api.mutate(
        "upsertRunQueue",
        "success",
        entityName="me",
        projectName="model-registry",
        queueName=stage.queue,
        resourceType="local-container",
        resourceConfig=json.dumps({"resource_args": {"local-container": {"env": ["A={{a}}"], "memory": "{{mem}}"}}}),
        templateVariables=json.dumps(variables),
        prioritizationMode="V0",
    )


def _run(api: Api, stage: Stage) -> str:
    first = api.push(stage.queue, {"project": "proj1"}, priority=0)
    api.claim(stage.agent, fresh_name("claim"))
    api.ack(stage.agent, first)
    found = api.run(f'query {{ project(name: "proj1") {{ run(name: "run-{first}") {{ id }} }} }}')
    return str(found["project"]["run"]["id"])


def _config_id(api: Api) -> str:
    made = api.mutate(
        "createDefaultResourceConfig",
        "defaultResourceConfigID",
        entityName="me",
        resource="local-process",
        config='{"resource_args": {}}',
        templateVariables='{"a": {"schema": {"type": "string"}}}',
    )
    return str(made["defaultResourceConfigID"])


def _artifact(api: Api) -> str:
    made = api.mutate(
        "createArtifact",
        "artifact { id }",
        entityName="me",
        projectName="proj1",
        artifactTypeName="code",
        artifactCollectionName=fresh_name("code"),
        digest="d",
    )
    return str(made["artifact"]["id"])


def _put_in(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: known[key] if key in known else _put_in(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put_in(inner, known) for inner in value]
    return value


@pytest.mark.parametrize(
    "capture",
    [_load(path) for path in CAPTURES if _load(path)["operation"] not in ELSEWHERE],
    ids=[path.stem for path in CAPTURES if _load(path)["operation"] not in ELSEWHERE],
)
def test_a_captured_request_is_answered(api: Api, capture: dict[str, Any], known: dict[str, Any]) -> None:
    body = capture["request_body"]
    if body.get("variables"):
        body = body | {"variables": _put_in(body["variables"], known)}
    response = api.post(body)
    answer = response.json()
    assert response.status_code == 200, answer
    assert "errors" not in answer
    for field, value in answer["data"].items():
        assert value is not None, f"{field} is null"
        if isinstance(value, dict) and "success" in value:
            assert value["success"] is True


def test_a_project_or_run_that_is_missing_is_null(api: Api) -> None:
    query = 'query($p: String) { project(name: $p) { run(name: "nothing") { state } sweep(sweepName: "s") { state } } }'
    assert api.run(query, {"p": "no-such-project"}) == {"project": None}
    assert api.run(query, {"p": "model-registry"}) == {"project": {"run": None, "sweep": None}}


def test_introspection_knows_the_fields_that_clients_look_for(api: Api) -> None:
    query = """{ m: __type(name: "Mutation") { fields { name } } a: __type(name: "LaunchAgent") { name }
        f: __type(name: "FailRunQueueItemInput") { inputFields { name } }
        p: __type(name: "PushToRunQueueInput") { inputFields { name } } s: __schema { queryType { name } } }"""
    found = api.run(query)
    mutations = {field["name"] for field in found["m"]["fields"]}
    assert {"failRunQueueItem", "updateRunQueueItemWarning", "claimRunQueueItems", "upsertRunQueue"} <= mutations
    assert found["a"] == {"name": "LaunchAgent"}
    assert {"message", "stage", "filePaths"} <= {field["name"] for field in found["f"]["inputFields"]}
    assert {"priority", "templateVariableValues"} <= {field["name"] for field in found["p"]["inputFields"]}
