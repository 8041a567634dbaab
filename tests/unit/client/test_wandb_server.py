"""Operations against a server with W&B's schema: those that exist there work, the others are refused."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from launchd.client.base import CURRENT_WANDB
from launchd.client.errors import Refused, ServerBusy, Unauthorized
from launchd.client.queue_server import Capabilities, QueueServer
from tests.unit.client.scripted_server import KEY, Reply, Request, data, errors, scripted_server

OLD_MUTATIONS = ["popFromRunQueue", "ackRunQueueItem", "pushToRunQueueByName"]
NEW_MUTATIONS = [
    *OLD_MUTATIONS,
    "createLaunchAgent",
    "failRunQueueItem",
    "updateRunQueueItemWarning",
    "createDefaultResourceConfig",
]

Start = Callable[..., QueueServer]


class Wandb:
    """Scripted answers by operation, and the requests that came."""

    def __init__(self) -> None:
        self.answers: dict[str, Reply] = {"Capabilities": capabilities(NEW_MUTATIONS, ["agentConfig"], ["message"])}
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.answers[request.operation]

    def last(self) -> tuple[str, dict[str, Any]]:
        return self.requests[-1].operation, self.requests[-1].variables


def capabilities(mutations: list[str], agent: list[str], fail: list[str], push: list[str] | None = None) -> Reply:
    def fields(names: list[str]) -> list[dict[str, str]]:
        return [{"name": name} for name in names]

    found = {
        "mutation": {"fields": fields(mutations)},
        "create_agent": {"inputFields": fields(agent)} if agent else None,
        "fail_item": {"inputFields": fields(fail)} if fail else None,
        "push": {"inputFields": fields(["priority"] if push is None else push)},
    }
    return Reply(body=data(found).body.replace(b'{"result": ', b"", 1)[:-1])


@pytest.fixture
def wandb() -> Wandb:
    return Wandb()


@pytest.fixture
def server(wandb: Wandb) -> Iterator[QueueServer]:
    with scripted_server(wandb) as running:
        client = QueueServer(running.url, KEY)
        yield client
        client.close()


def test_what_the_server_can_do_is_asked_once(server: QueueServer, wandb: Wandb) -> None:
    assert server.capabilities() is server.capabilities()
    assert len(wandb.requests) == 1
    assert not server.capabilities().launchd_protocol


def test_an_old_server_can_do_little(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["Capabilities"] = capabilities(OLD_MUTATIONS, [], [], [])

    assert server.capabilities() == Capabilities(*[False] * len(Capabilities.__struct_fields__))
    assert server.fail_item("i", "why", "run") is False
    assert server.warn_item("i", "what", "run") is False
    with pytest.raises(Refused, match="knows no priorities"):
        server.push("e", "q", {}, priority=0)


def test_a_server_that_hides_its_schema_is_a_current_one(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["Capabilities"] = errors(400, "introspection is off")

    assert server.capabilities() == CURRENT_WANDB


@pytest.mark.parametrize(
    "answer",
    [
        Reply(302, headers={"Location": "https://login"}),
        Reply(404, b'{"error": "not found"}'),
        Reply(404, b"<html>no such page</html>"),
        Reply(500),
        Reply(200, b'{"data": {}}'),
    ],
    ids=lambda answer: f"{answer.status}-{answer.body[:9]!r}",
)
def test_what_is_no_answer_does_not_decide_what_the_server_can_do(
    server: QueueServer, wandb: Wandb, answer: Reply
) -> None:
    known = wandb.answers["Capabilities"]
    wandb.answers["Capabilities"] = answer
    with pytest.raises(ServerBusy):
        server.capabilities()

    wandb.answers["Capabilities"] = known
    assert server.capabilities().fail_item


def test_an_old_servers_agents_are_made_without_configuration(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["createLaunchAgent"] = data({"launchAgentId": "agent1"})
    assert server.create_agent("e", ["q1"], "host", {"max_jobs": 1}, "v1") == "agent1"
    assert wandb.last()[1]["agentConfig"] == '{"max_jobs":1}'

    wandb.answers["Capabilities"] = capabilities(NEW_MUTATIONS, [], [])
    QueueServer(server.base_url, KEY).create_agent("e", ["q1"], "host", {}, "v1")
    assert "agentConfig" not in wandb.last()[1]


def test_an_old_server_fails_items_without_details(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["Capabilities"] = capabilities(NEW_MUTATIONS, [], [])
    wandb.answers["failRunQueueItem"] = data({"success": True})

    assert server.fail_item("i", "why", "run")
    assert wandb.last() == ("failRunQueueItem", {"itemId": "i"})


def test_a_viewer_of_null_is_an_unknown_key(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["Viewer"] = data(None)
    with pytest.raises(Unauthorized, match="knows no user of this API key"):
        server.viewer()

    teams = {"edges": [{"node": {"name": "team"}}]}
    wandb.answers["Viewer"] = data({"username": "me", "entity": "mine", "teams": teams})
    assert (server.viewer().entity, server.viewer().teams) == ("mine", ("team",))


def test_a_queues_resource_is_a_separate_object(server: QueueServer, wandb: Wandb) -> None:
    queue = {"id": "q1", "access": "PROJECT", "defaultResourceConfigID": "c1", "prioritizationMode": "V0"}
    wandb.answers["GetRunQueueMetadata"] = data({"runQueue": queue})
    config = {"resource": "kubernetes", "config": {"resource_args": {}}}
    wandb.answers["GetDefaultResourceConfig"] = data({"defaultResourceConfig": config})

    found = server.queue("e", "q")

    assert found is not None
    assert (found.id, found.resource_type, found.prioritization_mode) == ("q1", "kubernetes", "V0")


def test_making_a_queue_takes_three_steps(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["CreateProject"] = data({"inserted": False})
    wandb.answers["CreateDefaultResourceConfig"] = data({"defaultResourceConfigID": "c1", "success": True})
    wandb.answers["CreateRunQueue"] = data({"queueID": "q1", "success": True})

    assert server.create_queue("e", "q", resource="kubernetes", config={"a": 1}) == "q1"

    sent = {request.operation: request.variables for request in wandb.requests}
    assert sent["CreateProject"] == {"entity": "e", "project": "model-registry"}
    assert sent["CreateDefaultResourceConfig"]["config"] == '{"resource_args":{"kubernetes":{"a":1}}}'
    assert sent["CreateRunQueue"]["configId"] == "c1"


def test_an_empty_queue_pops_nothing_and_an_item_comes_as_an_object(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["popFromRunQueue"] = data(None)
    assert server.pop("e", "q", None) is None

    wandb.answers["popFromRunQueue"] = data({"runQueueItemId": "i", "runSpec": {"project": "p"}})
    popped = server.pop("e", "q", "agent1")
    assert popped is not None
    assert (popped.item_id, popped.queue, popped.run_spec) == ("i", "q", {"project": "p"})


def test_a_push_declares_only_what_it_sends(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["pushToRunQueueByName"] = data({"runQueueItemId": "i"})

    server.push("e", "q", {"a": 1})
    assert "priority" not in wandb.requests[-1].query
    assert wandb.last()[1]["runSpec"] == '{"a":1}'

    server.push("e", "q", {}, priority=0, template_variables={"x": 2})
    assert wandb.last()[1]["priority"] == 0
    assert wandb.last()[1]["templateVariableValues"] == '{"x":2}'


@pytest.mark.parametrize("nothing", [None, {"run": None, "sweep": None, "runQueue": None}])
def test_what_does_not_exist_is_none(server: QueueServer, wandb: Wandb, nothing: object) -> None:
    names = ("RunState", "RunStoppedStatus", "GetSweepState", "GetRunQueueMetadata", "GetRunQueueItem")
    wandb.answers |= dict.fromkeys((*names, "GetRunQueueItems"), data(nothing))

    assert server.run_state("e", "p", "r") is None
    assert server.run_stopped("e", "p", "r") is False
    assert server.sweep_state("e", "p", "s") is None
    assert server.queue("e", "q") is None
    assert server.queue_item("e", "q", "i") is None
    assert server.queue_items("e", "q") == []
    with pytest.raises(Refused, match="There is no queue 'q' of 'e'"):
        server.delete_queue("e", "q")


def test_a_project_without_queues_has_none(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["ProjectRunQueues"] = data(None)

    assert server.queues("e") == []
    assert server.queue_details("e") == []


def test_operations_of_the_launchd_protocol_are_refused_with_a_hint(server: QueueServer) -> None:
    with pytest.raises(Refused, match="shows its agents on its web page only"):
        server.agents("e")
    with pytest.raises(Refused, match="name the queue"):
        server.item("i")


def test_a_refused_status_is_an_error(server: QueueServer, wandb: Wandb) -> None:
    wandb.answers["updateLaunchAgent"] = data({"success": False})

    with pytest.raises(Refused, match="did not take status POLLING"):
        server.update_agent("agent1", "POLLING")
