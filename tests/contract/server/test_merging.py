"""How a push completes a run spec: the response, and what an agent gets."""

import json
from typing import Any

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import Api, RefusedByServer, fresh_name

pytestmark = pytest.mark.dialect

ARGS = {
    "kubernetes": {"gpus": "{{gpus}}", "name": "job-{{size}}", "limits": {"cpu": 1, "memory": "1g"}, "list": [1, 2]}
}
VARIABLES = {
    "gpus": {"schema": {"type": "integer", "default": 1, "minimum": 0, "maximum": 8}},
    "size": {"schema": {"type": "string", "enum": ["small", "large"]}},
}


def make_queue(api: Api, **more: object) -> str:
    name = fresh_name("merging")
    values = {
        "entityName": "me",
        "projectName": "model-registry",
        "queueName": name,
        "resourceType": "kubernetes",
        "resourceConfig": json.dumps({"resource_args": ARGS}),
        "templateVariables": json.dumps(VARIABLES),
        **more,
    }
    assert api.mutate("upsertRunQueue", "success", **values) == {"success": True}
    return name


def push(api: Api, queue: str, spec: object, **more: object) -> dict[str, Any]:
    made: dict[str, Any] = api.mutate(
        "pushToRunQueueByName",
        "runQueueItemId runSpec",
        entityName="me",
        projectName="model-registry",
        queueName=queue,
        runSpec=json.dumps(spec),
        **more,
    )
    return made


def test_the_answer_and_the_agent_get_the_merged_spec(api: Api) -> None:
    queue = make_queue(api)
    spec = {
        "project": "p",
        "resource": None,
        "overrides": {"args": ["--x"]},
        "resource_args": {"kubernetes": {"limits": {"memory": "8g"}, "list": [3]}, "other": {"a": 1}},
    }
    made = push(api, queue, spec, templateVariableValues=json.dumps({"size": "large", "gpus": 2}))
    merged = json.loads(made["runSpec"])
    assert merged["resource"] == "kubernetes"
    assert merged["overrides"] == {"args": ["--x"]}
    assert merged["resource_args"] == {
        "kubernetes": {"gpus": 2, "name": "job-large", "limits": {"cpu": 1, "memory": "8g"}, "list": [3]},
        "other": {"a": 1},
    }
    popped = api.mutate(
        "popFromRunQueue",
        "runQueueItemId runSpec",
        entityName="me",
        projectName="model-registry",
        queueName=queue,
    )
    key = popped["runSpec"].pop("_wandb_api_key")
    assert len(key) == 40
    assert popped == {"runQueueItemId": made["runQueueItemId"], "runSpec": merged}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'size' has no default and was given no value"),
        ({"size": "huge"}, "must be one of"),
        ({"size": "small", "gpus": 9}, "at most 8, not 9"),
        ({"size": "small", "gpus": "2"}, "of type integer, not '2'"),
        ({"size": "small", "cpus": 1}, "no template variable 'cpus'; it has: gpus, size"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_a_sentence(api: Api, values: object, message: str) -> None:
    queue = make_queue(api)
    with pytest.raises(RefusedByServer, match=message) as refused:
        push(api, queue, {"project": "p"}, templateVariableValues=json.dumps(values))
    assert refused.value.status == 400


def test_a_spec_that_is_queued_again_as_it_came_out_needs_no_values(api: Api) -> None:
    """As an agent does it with a preempted run."""
    queue = make_queue(api)
    first = push(api, queue, {"project": "p"}, templateVariableValues=json.dumps({"size": "small"}))
    again = push(api, queue, json.loads(first["runSpec"]) | {"_resume_count": 1})
    assert json.loads(again["runSpec"]) == json.loads(first["runSpec"]) | {"_resume_count": 1}


def test_priorities_where_there_are_some(api: Api) -> None:
    queue = make_queue(api, prioritizationMode="V0", templateVariables="{}")
    low, medium, default, high, critical = (
        push(api, queue, {"project": "p"}, **priority)["runQueueItemId"]
        for priority in ({"priority": 3}, {"priority": 2}, {}, {"priority": 1}, {"priority": 0})
    )
    assert [api.pop(queue) for _ in range(5)] == [critical, high, medium, default, low]
    with pytest.raises(RefusedByServer, match=r"400: Priority 4 is out of range: 0 \(critical\), 1 \(high\)"):
        push(api, queue, {"project": "p"}, priority=4)


def test_priorities_where_there_are_none(api: Api) -> None:
    queue = make_queue(api, prioritizationMode="DISABLED", templateVariables="{}")
    push(api, queue, {"project": "p"}, priority=2)
    with pytest.raises(RefusedByServer, match="400: This queue has no priorities, so 0 cannot be given"):
        push(api, queue, {"project": "p"}, priority=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"templateVariables": '{"a": {"schema": {"type": "date"}}}'}, "cannot be of type 'date'"),
        ({"templateVariables": "[]"}, "templateVariables must be a JSON object"),
        ({"resourceConfig": '{"resource_args": []}'}, "resource_args of a queue must be an object"),
        ({"resourceConfig": "{"}, "resourceConfig is not JSON"),
        (
            {"resourceType": "local-proces"},
            "no resource 'local-proces'. Did you mean 'local-process'\\? Known are: local-",
        ),
        (
            {"resourceType": ""},
            "no resource ''. Known are: local-process, local-container, kubernetes, sagemaker, gcp-v",
        ),
    ],
)
def test_a_queue_that_no_push_could_use_is_not_made(api: Api, given: dict[str, str], message: str) -> None:
    with pytest.raises(RefusedByServer, match=message):
        make_queue(api, **given)


def test_a_configuration_for_no_known_resource_is_not_kept(api: Api) -> None:
    given = {"entityName": "me", "resource": "k8s", "config": "{}"}
    with pytest.raises(RefusedByServer, match="400: There is no resource 'k8s'"):
        api.mutate("createDefaultResourceConfig", "success", **given)


def test_a_placeholder_of_no_variable_gives_a_warning_and_is_left_alone(api: Api) -> None:
    made = api.mutate(
        "upsertRunQueue",
        "success configSchemaValidationErrors",
        entityName="me",
        projectName="model-registry",
        queueName=fresh_name("merging"),
        resourceType="fake",
        resourceConfig='{"resource_args": {"fake": {"a": "{{b}}"}}}',
    )
    assert made["success"]
    assert made["configSchemaValidationErrors"] == [
        "{{b}} is no template variable of this queue; it stays in the configuration."
    ]


def test_the_same_key_again_is_the_same_push(api: Api, queue_and_agent: QueueAndAgent) -> None:
    first = push(api, queue_and_agent.queue, {"project": "p"}, idempotencyKey="k")
    assert push(api, queue_and_agent.queue, {"project": "p"}, idempotencyKey="k") == first
    other = push(api, queue_and_agent.queue, {"project": "p"}, idempotencyKey="l")
    without = [push(api, queue_and_agent.queue, {"project": "p"}) for _ in range(2)]
    made = [first, other, *without]
    assert api.claim(queue_and_agent.agent, "c1", items=9) == [item["runQueueItemId"] for item in made]
    assert push(api, queue_and_agent.queue, {"project": "p"}, idempotencyKey="k") == first, "also when it runs already"


def test_a_key_belongs_to_its_queue(api: Api, queue_and_agent: QueueAndAgent) -> None:
    elsewhere = fresh_name("queue")
    api.create_queue(elsewhere)
    one, two = (push(api, queue, {"project": "p"}, idempotencyKey="k") for queue in (queue_and_agent.queue, elsewhere))
    assert one["runQueueItemId"] != two["runQueueItemId"]


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_a_key_of_unfit_length_is_refused(api: Api, queue_and_agent: QueueAndAgent, key: str) -> None:
    with pytest.raises(RefusedByServer, match="An idempotencyKey has 1 to 128 characters"):
        push(api, queue_and_agent.queue, {"project": "p"}, idempotencyKey=key)
