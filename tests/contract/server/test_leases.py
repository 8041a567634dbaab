"""Leases of unacknowledged items, and agents whose heartbeats stopped."""

from collections.abc import Iterator

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import Api, RefusedByServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect

LEASE_SECONDS = 1.0


@pytest.fixture(scope="module")
def hasty(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:  # noqa: ARG001
    """A server whose leases end, and whose agents are lost, after a second."""
    seconds = str(LEASE_SECONDS)
    options = ("--lease-seconds", seconds, "--agent-timeout-seconds", seconds)
    with running_server(tmp_path_factory.mktemp("hasty"), *options) as server, server.api() as api:
        yield api


def agent_of(api: Api, agent: str) -> dict[str, object]:
    query = '{ launchAgents(entityName: "me") { id agentStatus secondsSinceHeartbeat } }'
    found: list[dict[str, object]] = api.run(query)["launchAgents"]
    return next(one for one in found if one["id"] == agent)


def test_a_popped_item_goes_to_another_agent_when_its_lease_ends(hasty: Api) -> None:
    queue = hasty.create_queue("popped")
    first, second = hasty.create_agent(queue), hasty.create_agent(queue)
    item = hasty.push("popped")
    assert hasty.pop("popped", first) == item
    assert hasty.item(item)["launchAgentId"] == first  # type: ignore[index]
    assert hasty.claim(second, "c1", wait=LEASE_SECONDS * 8) == [item]
    # At once: on a busy machine this lease is soon over as well.
    assert hasty.ack(second, item, run="mine") == [True]
    assert hasty.item(item)["launchAgentId"] == second  # type: ignore[index]
    assert hasty.ack(first, item, run="mine") == [False], "its lease is over"


def test_an_acknowledged_item_stays(hasty: Api) -> None:
    queue = hasty.create_queue("kept")
    agent, waiting = hasty.create_agent(queue), hasty.create_agent(queue)
    item = hasty.push("kept")
    assert hasty.claim(agent, "c1") == [item]
    assert hasty.ack(agent, item) == [True]
    assert hasty.claim(waiting, "c2", wait=LEASE_SECONDS * 3) == []
    assert hasty.state(item) == "CLAIMED"


def test_an_agent_without_heartbeats_is_shown_as_lost_until_the_next_one(hasty: Api) -> None:
    agent = hasty.create_agent(hasty.create_queue("silent"))
    assert agent_of(hasty, agent)["agentStatus"] == "POLLING"
    wait_until(lambda: agent_of(hasty, agent)["agentStatus"] == "LOST", what="the loss")
    hasty.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="RUNNING")
    assert agent_of(hasty, agent)["agentStatus"] == "RUNNING"


def test_an_agent_that_has_left_is_not_lost(hasty: Api) -> None:
    agent = hasty.create_agent(hasty.create_queue("left"))
    hasty.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="KILLED")
    wait_until(lambda: float(str(agent_of(hasty, agent)["secondsSinceHeartbeat"])) > LEASE_SECONDS, what="silence")
    assert agent_of(hasty, agent)["agentStatus"] == "KILLED"


def test_what_an_agent_that_leaves_has_not_acknowledged_goes_back_at_once(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    """Under a lease of a minute."""
    kept, returned = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    assert api.claim(queue_and_agent.agent, "c1", items=2) == [kept, returned]
    assert api.ack(queue_and_agent.agent, kept) == [True]
    api.mutate("updateLaunchAgent", "success", launchAgentId=queue_and_agent.agent, agentStatus="KILLED")
    assert (api.state(kept), api.state(returned)) == ("CLAIMED", "PENDING")


def test_a_second_acknowledgement_of_w_and_bs_is_refused(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) == item
    values = {"runQueueItemId": item, "runName": "r"}
    assert api.mutate("ackRunQueueItem", "success", **values) == {"success": True}
    assert api.mutate("ackRunQueueItem", "success", **values) == {"success": False}
    assert api.mutate("ackRunQueueItem", "success", runQueueItemId="unknown", runName="r") == {"success": False}


def test_an_agent_hears_that_its_queue_was_deleted_and_made_again(api: Api) -> None:
    kept, lost = fresh_name("kept"), fresh_name("lost")
    agent = api.create_agent(api.create_queue(kept), lost_id := api.create_queue(lost))
    api.mutate("deleteRunQueues", "success", queueIDs=[lost_id])
    item = api.push(kept)

    assert api.claim(agent, "c1") == [item], "the other one is served"
    api.create_queue(lost)
    with pytest.raises(RefusedByServer, match=f"{lost} deleted and made again") as refusal:
        api.claim(agent, "c2")
    assert refusal.value.codes == ["UNKNOWN_AGENT"]


def test_an_agent_without_any_queue_left_hears_it(api: Api) -> None:
    name = fresh_name("lost")
    agent = api.create_agent(queue := api.create_queue(name))
    api.mutate("deleteRunQueues", "success", queueIDs=[queue])

    with pytest.raises(RefusedByServer, match=f"{name} deleted; register again"):
        api.claim(agent, "c1")
