"""Life of a run queue item, from push to end, over HTTP."""

import json
from typing import Any

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect


def test_an_item_goes_from_push_to_finished(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue, {"project": "Mnist", "name": "first"})
    assert api.state(item) == "PENDING"
    assert api.claim(queue_and_agent.agent, "c1") == [item]
    assert api.state(item) == "LEASED"
    assert api.ack(queue_and_agent.agent, item, run="run1") == [True]
    assert api.report(queue_and_agent.agent, item, 1, "running", phase="running")
    assert api.report(queue_and_agent.agent, item, 2, "finished", exitCode=0)
    found = api.item(item)
    assert found is not None
    assert (found["state"], found["status"], found["exitCode"]) == ("FINISHED", "finished", 0)
    assert found["associatedRunId"] == "run1"
    assert found["startedAt"] <= found["finishedAt"]
    query = 'query { project(name: "mnist") { run(name: "run1") { state displayName } } }'
    assert api.run(query)["project"]["run"] == {"state": "finished", "displayName": "first"}


def test_who_looks_at_an_item_gives_its_agent_no_heartbeat(api: Api, queue_and_agent: QueueAndAgent) -> None:
    """W&B's agent, which does not say which process it is, has none but its query for itself."""
    item = api.push(queue_and_agent.queue)
    query = "query($id: ID!) { launchRunQueueItem(id: $id) { agent { id secondsSinceHeartbeat } } }"

    def agent() -> dict[str, Any] | None:
        found: dict[str, Any] | None = api.run(query, {"id": item})["launchRunQueueItem"]["agent"]
        return found

    assert agent() is None
    assert api.claim(queue_and_agent.agent, "c1") == [item]
    found = agent()
    assert found is not None
    assert found["id"] == queue_and_agent.agent
    wait_until(lambda: (agent() or found)["secondsSinceHeartbeat"] > 0.5, timeout=10, what="it is silent all the same")


def test_items_come_by_priority_and_then_by_age(api: Api, queue_and_agent: QueueAndAgent) -> None:
    late = api.push(queue_and_agent.queue, priority=3)
    middle = [api.push(queue_and_agent.queue), api.push(queue_and_agent.queue, priority=2)]
    first = api.push(queue_and_agent.queue, priority=0)
    assert api.claim(queue_and_agent.agent, "all", items=10) == [first, *middle, late]


def test_a_queue_without_priorities_refuses_one_that_is_not_the_default(api: Api) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue, mode="DISABLED")
    api.push(queue, priority=2)
    with pytest.raises(RefusedByServer, match="400: This queue has no priorities") as refused:
        api.push(queue, priority=0)
    assert refused.value.status == 400


def test_a_priority_out_of_range_is_refused(api: Api, queue_and_agent: QueueAndAgent) -> None:
    with pytest.raises(RefusedByServer, match="Priority 4 is out of range"):
        api.push(queue_and_agent.queue, priority=4)


def test_an_agent_takes_from_its_queues_in_turn(api: Api) -> None:
    names = [fresh_name("queue"), fresh_name("queue")]
    agent = api.create_agent(*[api.create_queue(name) for name in names])
    one = [api.push(names[0]) for _ in range(3)]
    two = [api.push(names[1]) for _ in range(3)]
    taken = [api.claim(agent, f"c{turn}")[0] for turn in range(3)]
    assert taken == [one[0], two[0], one[1]]
    assert api.claim(agent, "rest", items=10) == [two[1], one[2], two[2]]


def test_schedulers_of_sweeps_are_counted_apart(api: Api, queue_and_agent: QueueAndAgent) -> None:
    scheduler = api.push(queue_and_agent.queue, {"uri": "placeholder-uri-scheduler"})
    ordinary = api.push(queue_and_agent.queue)
    assert api.claim(queue_and_agent.agent, "c1", items=5, schedulers=0) == [ordinary]
    assert api.claim(queue_and_agent.agent, "c2", items=0, schedulers=1) == [scheduler]


def test_the_same_claim_again_answers_the_same_items(api: Api, queue_and_agent: QueueAndAgent) -> None:
    items = [api.push(queue_and_agent.queue) for _ in range(3)]
    assert api.claim(queue_and_agent.agent, "lost", items=2) == items[:2]
    assert api.claim(queue_and_agent.agent, "lost", items=2) == items[:2]
    assert api.ack(queue_and_agent.agent, items[0]) == [True]
    assert api.claim(queue_and_agent.agent, "lost", items=2) == items[1:2]


def test_an_acknowledgement_repeated_by_its_agent_succeeds_and_by_others_not(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    item = api.push(queue_and_agent.queue)
    other = api.create_agent(queue_and_agent.queue_id)
    assert api.ack(queue_and_agent.agent, item) == [False]
    api.claim(queue_and_agent.agent, "c1")
    assert api.ack(other, item) == [False]
    assert api.ack(queue_and_agent.agent, item, "no-such-item", run="r") == [True, False]
    assert api.ack(queue_and_agent.agent, item, run="r") == [True]
    assert api.ack(queue_and_agent.agent, item, run="another") == [False]


def test_the_single_acknowledgement_refuses_a_second_one(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    assert api.pop(queue_and_agent.queue) == item
    for expected in (True, False):
        said = api.mutate("ackRunQueueItem", "success", runQueueItemId=item, runName="r1")
        assert said == {"success": expected}


def test_reports_are_taken_once_and_never_overwrite_an_end(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, item)
    assert api.report(queue_and_agent.agent, item, 5, "running")
    assert api.report(queue_and_agent.agent, item, 4, "starting"), "an older report is ignored, with success"
    assert api.item(item)["status"] == "running"  # type: ignore[index]
    assert api.report(queue_and_agent.agent, item, 6, "failed", message="out of memory", stage="run", exitCode=137)
    assert api.report(queue_and_agent.agent, item, 6, "failed", message="again")
    assert not api.report(queue_and_agent.agent, item, 7, "finished")
    found = api.item(item)
    assert found is not None
    assert (found["state"], found["message"], found["stage"], found["exitCode"]) == (
        "FAILED",
        "out of memory",
        "run",
        137,
    )


def test_an_end_counts_whatever_its_number_is(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, item)
    assert api.report(queue_and_agent.agent, item, 500, "running")
    assert api.report(queue_and_agent.agent, item, 3, "finished", exitCode=0)
    assert api.item(item)["state"] == "FINISHED"  # type: ignore[index]


def test_an_unknown_status_is_refused(api: Api, queue_and_agent: QueueAndAgent) -> None:
    [result] = api.results_of_reports(
        queue_and_agent.agent, {"runQueueItemId": "x", "sequence": 1, "status": "exploded"}
    )
    assert (result["success"], result["answer"]) == (False, "REFUSED")
    assert "'exploded' is no status" in result["message"]


def test_failing_works_before_and_after_the_acknowledgement(api: Api, queue_and_agent: QueueAndAgent) -> None:
    leased, claimed, waiting = (api.push(queue_and_agent.queue) for _ in range(3))
    api.claim(queue_and_agent.agent, "c1", items=2)
    api.ack(queue_and_agent.agent, claimed)
    for item, expected in ((leased, True), (claimed, True), (claimed, False), (waiting, False)):
        said = api.mutate("failRunQueueItem", "success", runQueueItemId=item, message="bad spec", stage="agent")
        assert said == {"success": expected}
    assert api.item(leased)["message"] == "bad spec"  # type: ignore[index]
    assert api.state(waiting) == "PENDING"


def test_warnings_add_up(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    for message in ("image pull", "again"):
        warning: dict[str, object] = {
            "runQueueItemId": item,
            "message": message,
            "stage": "Kubernetes",
            "filePaths": [],
        }
        assert api.mutate("updateRunQueueItemWarning", "success", **warning) == {"success": True}
    found = api.item(item)
    assert found is not None
    assert [warning["message"] for warning in found["warnings"]] == ["image pull", "again"]


def test_unstarted_work_can_be_given_back_and_keeps_its_place(api: Api, queue_and_agent: QueueAndAgent) -> None:
    items = [api.push(queue_and_agent.queue) for _ in range(3)]
    api.claim(queue_and_agent.agent, "c1", items=2)
    api.ack(queue_and_agent.agent, items[1])
    given = {"launchAgentId": queue_and_agent.agent, "runQueueItemIds": items}
    assert api.mutate("returnRunQueueItems", "returned", **given) == {"returned": [items[0]]}
    assert api.claim(queue_and_agent.agent, "c2", items=5) == [items[0], items[2]]


def test_an_agent_that_comes_back_returns_what_it_does_not_know(api: Api, queue_and_agent: QueueAndAgent) -> None:
    known, unknown, acknowledged = (api.push(queue_and_agent.queue) for _ in range(3))
    api.claim(queue_and_agent.agent, "c1", items=3)
    api.ack(queue_and_agent.agent, acknowledged)
    answer = api.mutate(
        "resumeLaunchAgent", "success returned", launchAgentId=queue_and_agent.agent, knownItemIds=[known, acknowledged]
    )
    assert answer == {"success": True, "returned": [unknown]}
    assert [api.state(item) for item in (known, unknown, acknowledged)] == ["LEASED", "PENDING", "CLAIMED"]


def test_a_waiting_item_is_stopped_at_once_and_a_running_one_is_asked_to(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    running, waiting = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, running)
    stopped = api.mutate("stopRunQueueItem", "success state", runQueueItemId=waiting, reason="not needed")
    assert stopped == {"success": True, "state": "STOPPED"}
    asked = api.mutate("stopRunQueueItem", "success state", runQueueItemId=running, reason="too slow")
    assert asked == {"success": True, "state": "CLAIMED"}
    stops = api.mutate(
        "watchLaunchAgent",
        "stopPolling stops { runQueueItemId reason }",
        launchAgentId=queue_and_agent.agent,
        agentStatus="RUNNING",
        seenStops=[],
        waitSeconds=5,
    )
    assert stops == {"stopPolling": False, "stops": [{"runQueueItemId": running, "reason": "too slow"}]}
    assert api.report(queue_and_agent.agent, running, 1, "stopped")
    refused = api.mutate("stopRunQueueItem", "success state", runQueueItemId=running)
    assert refused == {"success": True, "state": "STOPPED"}


def test_stopping_the_run_stops_the_item(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue, {"project": "stops"})
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, item, run="r1")
    query = 'query { project(name: "stops") { run(name: "r1") { id stopped } } }'
    run = api.run(query)["project"]["run"]
    assert run["stopped"] is False
    assert api.mutate("stopRun", "success", id=run["id"]) == {"success": True}
    assert api.run(query)["project"]["run"]["stopped"] is True
    assert api.item(item)["stopRequested"] is True  # type: ignore[index]


def test_a_deleted_item_is_gone_but_a_claimed_one_stays(api: Api, queue_and_agent: QueueAndAgent) -> None:
    waiting, claimed = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue, priority=0)
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, claimed)
    for item, expected in ((waiting, True), (waiting, False), (claimed, False)):
        said = api.mutate("deleteFromRunQueue", "success", queueID=queue_and_agent.queue_id, runQueueItemId=item)
        assert said == {"success": expected}
    assert api.item(waiting) is None


def test_the_queue_fills_in_what_the_submitter_left_out(api: Api) -> None:
    queue = fresh_name("queue")
    config = {"resource_args": {"local-process": {"env": {"A": "queue", "B": "queue"}, "limits": [1]}}}
    agent = api.create_agent(api.create_queue(queue, config=config))
    spec = {"overrides": None, "resource": None, "resource_args": {"local-process": {"env": {"B": "mine"}, "x": 1}}}
    api.push(queue, spec)
    api.push(queue, {"resource_args": None})
    merged, plain = (item["runSpec"] for item in api.claim_all(agent, "c1", items=2)["items"])
    assert merged["overrides"] == {}
    assert merged["resource"] == "local-process"
    assert merged["resource_args"] == {
        "local-process": {"env": {"A": "queue", "B": "mine"}, "limits": [1], "x": 1},
    }
    assert plain["resource_args"] == config["resource_args"]


@pytest.mark.parametrize("text", ["[1]", "7", '"x"', "{", '{"overrides": []}', '{"resource_args": "no"}'])
def test_a_spec_that_is_no_object_is_refused(api: Api, queue_and_agent: QueueAndAgent, text: str) -> None:
    named = {"entityName": "me", "projectName": "model-registry", "queueName": queue_and_agent.queue}
    with pytest.raises(RefusedByServer) as refused:
        api.mutate("pushToRunQueueByName", "runQueueItemId", **named, runSpec=text)
    assert refused.value.status == 400
    assert len(refused.value.messages) == 1


def test_a_push_to_a_queue_that_does_not_exist_says_so(api: Api) -> None:
    with pytest.raises(RefusedByServer, match="404: Entity 'me' has no queue 'nowhere'"):
        api.push("nowhere")


def test_deleting_a_queue_spares_what_runs(api: Api, queue_and_agent: QueueAndAgent) -> None:
    running, waiting = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1")
    api.ack(queue_and_agent.agent, running)
    assert api.mutate("deleteRunQueues", "success", queueIDs=[queue_and_agent.queue_id]) == {"success": True}
    assert api.item(waiting) is None
    assert api.report(queue_and_agent.agent, running, 1, "finished")
    assert api.create_queue(queue_and_agent.queue) != queue_and_agent.queue_id


def test_counts_and_configuration_of_a_queue(api: Api, queue_and_agent: QueueAndAgent) -> None:
    for _ in range(3):
        api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1", items=2)
    query = """query($q: String!) { project(name: "model-registry") { runQueue(name: $q) {
        entityName resourceType resourceConfig pendingCount claimedCount prioritizationMode access
        runQueueItems(first: 2) { edges { node { state } } }
    } } }"""
    queue = api.run(query, {"q": queue_and_agent.queue})["project"]["runQueue"]
    assert (queue["pendingCount"], queue["claimedCount"], queue["resourceType"]) == (1, 2, "local-process")
    assert [edge["node"]["state"] for edge in queue["runQueueItems"]["edges"]] == ["PENDING", "LEASED"]


def test_template_variables_are_filled_in_at_push(api: Api) -> None:
    queue = fresh_name("queue")
    config = {"resource_args": {"local-process": {"memory": "{{mem}}", "label": "n-{{count}}", "count": "{{count}}"}}}
    variables = {
        "mem": {"schema": {"type": "string", "default": "1g", "enum": ["1g", "2g"]}},
        "count": {"schema": {"type": "integer", "minimum": 1}},
    }
    api.create_queue(queue, config=config, variables=variables)
    item = api.push(queue, templateVariableValues=json.dumps({"count": 3}))
    args = api.item(item)["runSpec"]["resource_args"]["local-process"]  # type: ignore[index]
    assert args == {"memory": "1g", "label": "n-3", "count": 3}
    for values, message in (({}, "'count' has no default"), ({"count": 0}, "at least 1"), ({"x": 1}, "no template")):
        with pytest.raises(RefusedByServer, match=message):
            api.push(queue, templateVariableValues=json.dumps(values))


def test_a_lease_that_is_not_acknowledged_ends_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_server(tmp_path_factory.mktemp("leases"), "--lease-seconds", "0.3") as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        item = api.push("q")
        assert api.claim(agent, "c1") == [item]
        # Nobody claims or pops in between: the timer alone brings it back.
        wait_until(lambda: api.state(item) == "PENDING", what="the lease's end")
        assert api.ack(agent, item) == [False]
        assert api.claim(agent, "c2", wait=5) == [item]
        server.restart()
        with server.api() as later:
            assert later.claim(agent, "c3", wait=5) == [item], "a lease from before a death ends too"


def test_a_stop_asked_for_during_a_lease_holds_when_the_lease_ends(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    api.claim(queue_and_agent.agent, "c1")
    api.mutate("stopRunQueueItem", "success", runQueueItemId=item, reason="enough")
    api.mutate("returnRunQueueItems", "returned", launchAgentId=queue_and_agent.agent, runQueueItemIds=[item])
    found = api.item(item)
    assert found is not None
    assert (found["state"], found["stopReason"]) == ("STOPPED", "enough")


def test_a_person_finds_an_item_by_what_they_know(accounts: Accounts, api: Api, queue_and_agent: QueueAndAgent) -> None:
    name = fresh_name("training")
    old, new = (api.push(queue_and_agent.queue, {"project": "p", "name": name}) for _ in range(2))
    api.claim(queue_and_agent.agent, "c")
    assert api.ack(queue_and_agent.agent, old, run=f"run-of-{name}") == [True]

    def found(client: Api, word: str) -> list[str]:
        answer = client.run("query($w: String!) { findRunQueueItems(word: $w) { id } }", {"w": word})
        return [one["id"] for one in answer["findRunQueueItems"]]

    assert found(api, old[:10]) == found(api, old) == found(api, f"run-of-{name}") == [old]
    assert found(api, name) == [new, old]
    assert found(api, "@last") == [new]
    assert found(api, old[:3]) == found(api, "") == found(api, "%") == found(api, "x" * 300) == []
    _, stranger = accounts.user()
    for word in (old, name, "@last", f"run-of-{name}"):
        assert found(stranger, word) == []
