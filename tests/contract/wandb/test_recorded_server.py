"""The recorded W&B server is one: it takes what W&B's clients send, answers in their shapes, and refuses ours."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from graphql import parse, validate

from launchd.client.errors import Refused
from launchd.client.operations import accounts, artifacts, launch, launchd_protocol, runs
from launchd.client.operations.operation import Operation
from launchd.client.queue_server import QueueServer
from tests.support.wandb_schema import Recording, modern_schema, recordings
from tests.support.wandb_server import ENTITY, KEY, Flavour, WandbServer, wandb_server

#: What agents ask, and the ids that stand for those of the recording.
OF_AGENTS = {
    "LaunchAgentIntrospection",
    "ProjectRunQueues",
    "EntityIsTeam",
    "createLaunchAgent",
    "LaunchAgent",
    "updateLaunchAgent",
    "popFromRunQueue",
    "ackRunQueueItem",
    "failRunQueueItem",
    "updateRunQueueItemWarning",
    "GetRunQueueItem",
    "GetRunQueueItems",
    "RunState",
    "RunStoppedStatus",
    "GetSweepState",
    "UpsertBucket",
    "CreateRunFiles",
}
IDS = {
    "entity": ENTITY,
    "entityName": ENTITY,
    "queueName": "a",
    "runQueue": "a",
    "agentId": "agent-1",
    "itemId": "item-1",
    "runQueueItemId": "item-1",
    "name": "run",
    "run": "run",
    "runId": "run",
    "sweep": "sweep",
}

WANDB_TOPICS = (artifacts, launch, runs)
DOCUMENTS = {name: one for topic in WANDB_TOPICS for name, one in vars(topic).items() if isinstance(one, Operation)}
#: The other documents about accounts are launchd's server's own.
DOCUMENTS |= {"CAPABILITIES": accounts.CAPABILITIES, "VIEWER": accounts.VIEWER}
#: For servers from before the details of failures, which are obligatory now.
OF_OLD_SERVERS = {"FAIL_ITEM_WITHOUT_DETAILS"}


@pytest.fixture
def wandb() -> Iterator[WandbServer]:
    with wandb_server("a") as server:
        server.push("a")
        server.start_run("run")
        server.sweeps["sweep"] = "RUNNING"
        server.statuses["agent-1"] = []
        yield server


def send(wandb: WandbServer, query: str, variables: dict[str, Any], key: str = KEY) -> requests.Response:
    body = {"query": query, "variables": variables, "operationName": query.partition("(")[0].split()[-1].strip("{")}
    return requests.post(f"{wandb.url}/graphql", data=json.dumps(body), auth=("api", key), timeout=5.0)


def shape(value: Any) -> Any:
    """Return ``value`` with its leaves forgotten: what a client's selection leaves open."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    return [shape(inner) for inner in value[:1]] if isinstance(value, list) else None


def only(answer: Any, like: Any) -> Any:
    """Return what ``answer`` has in common with ``like``: a null says nothing of a shape, nor do two run specs."""
    if not isinstance(answer, dict) or not isinstance(like, dict):
        return None
    return {name: only(inner, like.get(name)) for name, inner in answer.items() if name != "runSpec"}


@pytest.mark.parametrize("recording", recordings(), ids=lambda one: f"{one.operation}-{one.client}")
def test_it_knows_what_clients_of_wandbs_sent(recording: Recording) -> None:
    assert validate(modern_schema(), parse(recording.query)) == []


@pytest.mark.parametrize(
    "recording",
    [one for one in recordings() if one.operation in OF_AGENTS],
    ids=lambda one: f"{one.operation}-{one.client}",
)
def test_its_answers_to_an_agent_have_the_recorded_shape(wandb: WandbServer, recording: Recording) -> None:
    known = {name: value for name, value in IDS.items() if name in recording.variables}
    answer = send(wandb, recording.query, recording.variables | known)
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert shape(only(data, recording.answer)) == shape(only(recording.answer, data))


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_our_documents_ask_for_nothing_that_wandb_does_not_have(name: str) -> None:
    errors = [error.message for error in validate(modern_schema(), parse(DOCUMENTS[name].text))]
    assert bool(errors) is (name in OF_OLD_SERVERS), errors


@pytest.mark.parametrize("options", [(), ("priority",), ("priority", "templateVariableValues")])
def test_our_pushes_ask_for_nothing_that_wandb_does_not_have(options: tuple[str, ...]) -> None:
    assert validate(modern_schema(), parse(launch.push(options).text)) == []


def test_it_refuses_our_own_operations_as_wandb_does(wandb: WandbServer) -> None:
    refused = send(wandb, launchd_protocol.CLAIM.text, {"input": {}})
    assert refused.status_code == 400
    assert "Cannot query field 'claimRunQueueItems' on type 'Mutation'" in refused.text
    assert wandb.foreign


def test_it_refuses_an_unknown_key(wandb: WandbServer) -> None:
    assert send(wandb, "query Viewer { viewer { id } }", {}, key="wrong").status_code == 401


@pytest.mark.parametrize("flavour", Flavour)
def test_a_client_finds_out_what_it_can_do(flavour: Flavour) -> None:
    with wandb_server("a", flavour=flavour) as server:
        client = QueueServer(server.url, KEY)
        able = client.capabilities()
        client.close()
        assert able.launchd_protocol is False
        modern = flavour is not Flavour.OLD
        assert able.launch_agents is able.fail_details is able.item_warnings is able.item_by_id is modern
        assert able.fail_item
        assert able.run_files


def test_an_item_of_an_old_server_is_found_in_the_list() -> None:
    with wandb_server("a", flavour=Flavour.OLD) as server:
        item = server.push("a")
        client = QueueServer(server.url, KEY)
        found = client.queue_item(ENTITY, "a", item)
        assert found is not None
        assert (found.id, found.state) == (item, "PENDING")
        assert client.create_queue(ENTITY, "default") == "queue-default"
        with pytest.raises(Refused, match="knows no priorities"):
            client.push(ENTITY, "a", {}, priority=1)
        client.close()
        assert server.foreign == []
