"""Agents that reach for another entity's items, and administrators who would be other users: refused."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.accounts import Accounts, make_accounts
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server"), "--lease-seconds", "3600") as running:
        yield running


@pytest.fixture
def accounts(server: RunningServer) -> Iterator[Accounts]:
    with make_accounts(server) as made:
        yield made


@dataclass(frozen=True)
class TwoTeams:
    """A member of two teams, with an agent in the first; the other one has a queue, an agent and items."""

    both: Api
    agent: str
    other: str
    queue: str
    queue_id: str
    as_other: Api
    agent_of_other: str

    def leased(self) -> tuple[str, int]:
        """An item that the other team's agent has leased, and the number of the lease."""
        self.as_other.push(self.queue, entity=self.other)
        claimed = self.as_other.claim_all(self.agent_of_other, fresh_name("claim"))["items"][0]
        return str(claimed["runQueueItemId"]), int(claimed["lease"])


@pytest.fixture
def teams(accounts: Accounts) -> TwoTeams:
    boss, _ = accounts.user()
    other_boss, as_other = accounts.user()
    mine, other = accounts.team(boss), accounts.team(other_boss)
    name, both = accounts.user()
    for team in (mine, other):
        accounts.admin.mutate("createInvite", "invite { id }", entityName=team, username=name, role="MEMBER")
    agent = both.create_agent(both.create_queue(fresh_name("queue"), entity=mine), entity=mine)
    queue = fresh_name("queue")
    queue_id = as_other.create_queue(queue, entity=other)
    return TwoTeams(both, agent, other, queue, queue_id, as_other, as_other.create_agent(queue_id, entity=other))


def refusal(api: Api, field: str, selection: str, **values: object) -> RefusedByServer:
    with pytest.raises(RefusedByServer) as refused:
        api.mutate(field, selection, **values)
    return refused.value


def test_no_agent_is_registered_for_another_entitys_queue(teams: TwoTeams) -> None:
    values = {"entityName": teams.both.run("{ viewer { entity } }")["viewer"]["entity"], "hostname": "h"}
    refused = refusal(
        teams.both,
        "createLaunchAgent",
        "launchAgentId",
        **values,
        projectName="model-registry",
        runQueues=[teams.queue_id],
    )
    assert (refused.status, "serves the queues of that entity alone" in str(refused)) == (404, True)


def test_no_agent_pops_from_another_entitys_queue(teams: TwoTeams) -> None:
    item = teams.as_other.push(teams.queue, entity=teams.other)
    names = {"entityName": teams.other, "projectName": "model-registry", "queueName": teams.queue}
    refused = refusal(teams.both, "popFromRunQueue", "runQueueItemId", **names, launchAgentId=teams.agent)
    assert (refused.status, teams.as_other.state(item)) == (404, "PENDING")


def test_no_agent_acknowledges_another_entitys_item(teams: TwoTeams) -> None:
    item, lease = teams.leased()
    ack = {"runQueueItemId": item, "runName": "mine", "lease": lease}
    assert teams.both.results_of_acks(teams.agent, ack)[0]["answer"] != "TAKEN"
    assert teams.as_other.state(item) == "LEASED"
    too_long = {"runQueueItemId": item, "runName": "x" * 500, "lease": lease}
    teams.both.results_of_acks(teams.agent, too_long)
    assert teams.as_other.state(item) == "LEASED", "nor fails it by a run that cannot be"


def test_no_agent_reports_another_entitys_item(teams: TwoTeams) -> None:
    item, lease = teams.leased()
    assert teams.as_other.ack(teams.agent_of_other, item) == [True]
    report = {"runQueueItemId": item, "sequence": 7, "status": "finished", "lease": lease}
    assert teams.both.results_of_reports(teams.agent, report)[0]["answer"] != "TAKEN"
    assert teams.as_other.state(item) == "CLAIMED"


def test_no_agent_takes_over_another_entitys_item_by_resuming(teams: TwoTeams) -> None:
    item, lease = teams.leased()
    assert teams.as_other.ack(teams.agent_of_other, item, run="r") == [True]
    teams.as_other.mutate("updateLaunchAgent", "success", launchAgentId=teams.agent_of_other, agentStatus="KILLED")
    held = {"runQueueItemId": item, "lease": lease, "acknowledged": True, "runName": "r"}
    teams.both.resume(teams.agent, held)
    found = teams.as_other.item(item)
    assert found is not None
    assert found["launchAgentId"] == teams.agent_of_other


def test_no_agent_pauses_claims_by_another_entitys_item(teams: TwoTeams) -> None:
    item = teams.as_other.push(teams.queue, entity=teams.other)
    held = {"runQueueItemId": item, "lease": 0, "acknowledged": True}
    assert teams.both.watch(teams.agent, held)["mustResume"] is False
    assert teams.as_other.claim(teams.agent_of_other, fresh_name("claim")) == [item]


# Administrators.


def events(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.run("{ viewer { accountEvents { actor sentence } } }")["viewer"]["accountEvents"]
    return found


def test_an_administrator_makes_no_key_of_another_user(accounts: Accounts) -> None:
    name, _ = accounts.user()
    for role in ("ADMIN", "MEMBER", "VIEWER", "AGENT"):
        refused = refusal(accounts.admin, "generateApiKey", "key", username=name, role=role)
        assert (refused.status, "reset them" in str(refused)) == (403, True)


def test_an_administrator_makes_no_second_key_of_a_service_account(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    name, _ = accounts.service_account(team)
    assert refusal(accounts.admin, "generateApiKey", "key", username=name).status == 403
    key_id = as_boss.mutate("generateApiKey", "apiKey { id } key", username=name)["apiKey"]["id"]
    assert accounts.admin.mutate("deleteApiKey", "success", id=key_id) == {"success": True}
    assert refusal(accounts.admin, "generateApiKey", "key", username=name).status == 403


def test_a_reset_gives_the_key_to_its_owner_alone_who_sees_it(accounts: Accounts, server: RunningServer) -> None:
    name, api = accounts.user()
    as_admin = accounts.admin
    find = "query($q: String) { users(query: $q) { edges { node { apiKeys { edges { node { lastUsedAt } } } } } } }"
    api.run("{ viewer { id } }")

    def is_noted() -> bool:
        keys = as_admin.run(find, {"q": name})["users"]["edges"][0]["node"]["apiKeys"]["edges"]
        return all(key["node"]["lastUsedAt"] for key in keys)

    wait_until(is_noted, 5)
    made = as_admin.mutate("resetApiKeys", "revoked key file", username=name)
    assert (made["revoked"], made["key"]) == (1, None)
    with pytest.raises(RefusedByServer, match="not known to this queue server"):
        api.run("{ viewer { id } }")
    path = server.data_dir / "reset-keys" / f"{name}.key"
    assert (made["file"], path.stat().st_mode & 0o777) == (str(path), 0o600)

    new = accounts.with_key(path.read_text().strip())
    assert [(event["actor"], event["sentence"]) for event in events(new)] == [
        ("me", "Reset the API keys: 1 were revoked, one was made.")
    ]


def test_revoking_first_does_not_make_an_account_a_new_one(accounts: Accounts) -> None:
    name, api = accounts.user()
    api.run("{ viewer { id } }")
    find = "query($q: String) { users(query: $q) { edges { node { apiKeys { edges { node { id lastUsedAt } } } } } } }"

    def keys() -> list[dict[str, Any]]:
        edges = accounts.admin.run(find, {"q": name})["users"]["edges"][0]["node"]["apiKeys"]["edges"]
        return [edge["node"] for edge in edges]

    wait_until(lambda: all(key["lastUsedAt"] for key in keys()), 5)
    for key in keys():
        accounts.admin.mutate("deleteApiKey", "success", id=key["id"])
    assert accounts.admin.mutate("resetApiKeys", "key", username=name) == {"key": None}


def test_the_key_of_who_never_had_one_is_shown(accounts: Accounts) -> None:
    name = fresh_name("user")
    accounts.admin.mutate("createUser", "key", email="x@example.org", username=name)
    key = accounts.admin.mutate("resetApiKeys", "key", username=name)["key"]
    assert accounts.with_key(key).run("{ viewer { username } }") == {"viewer": {"username": name}}


def test_the_key_of_a_service_account_is_never_shown(accounts: Accounts, server: RunningServer) -> None:
    boss, _ = accounts.user()
    name, _ = accounts.service_account(accounts.team(boss))
    assert accounts.admin.mutate("resetApiKeys", "key", username=name) == {"key": None}
    assert (server.data_dir / "reset-keys" / f"{name}.key").exists()


def test_only_an_administrator_resets(accounts: Accounts) -> None:
    name, api = accounts.user()
    other, _ = accounts.user()
    assert refusal(api, "resetApiKeys", "key", username=other).status == 403
    assert refusal(accounts.admin, "resetApiKeys", "key", username="me").status == 400
    assert events(api) == []
    assert refusal(api, "resetApiKeys", "key", username=name).status == 403
