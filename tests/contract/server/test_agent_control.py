"""What people ask of agents: to drain, to go on, to stop. Who may is said by the role, or by whose the agent is."""

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, fresh_name


def drain(api: Api, agent: str) -> None:
    assert api.mutate("stopLaunchAgent", "success stopped", launchAgentId=agent) == {"success": True, "stopped": []}


def undrain(api: Api, agent: str) -> None:
    assert api.mutate("undrainLaunchAgent", "success", launchAgentId=agent) == {"success": True}


def asked_by(api: Api, agent: str) -> tuple[bool, str | None]:
    found = api.run("query($id: ID!) { launchAgent(id: $id) { stopPolling stopPollingBy } }", {"id": agent})
    return found["launchAgent"]["stopPolling"], found["launchAgent"]["stopPollingBy"]


def test_a_drain_is_taken_back(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent, item = queue_and_agent.agent, api.push(queue_and_agent.queue)
    drain(api, agent)
    assert asked_by(api, agent) == (True, "me")
    assert api.claim(agent, "c1") == []
    undrain(api, agent)
    assert asked_by(api, agent) == (False, None)
    assert api.watch(agent)["stopPolling"] is False
    assert api.claim(agent, "c2") == [item]
    api.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="KILLED")
    with pytest.raises(RefusedByServer, match="has left: start it again there"):
        undrain(api, agent)


def test_who_was_asked_to_leave_and_did_has_left(api: Api, queue_and_agent: QueueAndAgent) -> None:
    """W&B's agent tells how it stands from several tasks: the word of one may arrive after that of its departure."""
    agent = queue_and_agent.agent
    says = {"launchAgentId": agent}
    api.mutate("updateLaunchAgent", "success", **says, agentStatus="KILLED")
    api.mutate("updateLaunchAgent", "success", **says, agentStatus="POLLING")
    assert api.agent_status(agent) == "POLLING", "one that was not asked to leave is back"
    drain(api, agent)
    api.mutate("updateLaunchAgent", "success", **says, agentStatus="KILLED")
    api.mutate("updateLaunchAgent", "success", **says, agentStatus="POLLING")
    assert api.agent_status(agent) == "KILLED"


def test_an_agent_is_stopped_with_its_items(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent = queue_and_agent.agent
    leased, claimed, waiting = (api.push(queue_and_agent.queue) for _ in range(3))
    assert api.claim(agent, "c1", items=2) == [leased, claimed]
    assert api.ack(agent, claimed) == [True]
    answer = api.mutate("stopLaunchAgent", "stopped", launchAgentId=agent, stopItems=True, reason="host is taken down")
    assert answer == {"stopped": [leased, claimed]}
    watched = api.watch(agent)
    assert watched["stopPolling"] is True
    assert {stop["runQueueItemId"] for stop in watched["stops"]} == {leased, claimed}
    assert {(api.item(one) or {})["stopReason"] for one in (leased, claimed)} == {"host is taken down"}
    assert api.state(waiting) == "PENDING"


def test_admins_and_the_owner_ask_an_agent_to_leave_and_no_other_member(accounts: Accounts) -> None:
    admin, as_admin = accounts.user()
    team = accounts.team(admin)
    (owner, as_owner), (_, as_other) = (accounts.member(team, "MEMBER") for _ in range(2))
    agent = as_owner.create_agent(as_admin.create_queue(fresh_name("queue"), entity=team), entity=team)
    for forbidden in (drain, undrain):
        with pytest.raises(RefusedByServer, match="was registered by another user: only that user and admins of"):
            forbidden(as_other, agent)
    drain(as_owner, agent)
    assert asked_by(as_other, agent) == (True, owner)
    undrain(as_admin, agent)
    # An admin's key for less than that is one for less.
    made = as_admin.mutate("generateApiKey", "apiKey { name }", description="d", role="MEMBER")
    with pytest.raises(RefusedByServer, match="with a key of role admin"):
        drain(accounts.with_key(made["apiKey"]["name"]), agent)
