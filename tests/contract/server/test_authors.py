"""Authors of items and runs: the submitter, independently of the keys of agent and job."""

from dataclasses import dataclass

import pytest

from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, fresh_name

RUN = """query($e: String!, $p: String!, $r: String!) {
    project(name: $p, entityName: $e) { run(name: $r) { user { username } } } }"""


@dataclass(frozen=True)
class Team:
    name: str
    queue: str
    boss: str
    as_boss: Api
    service: str
    service_key: str
    agent: str
    as_agent: Api


@pytest.fixture
def team(accounts: Accounts) -> Team:
    boss, as_boss = accounts.user()
    name, queue = accounts.team(boss), fresh_name("queue")
    queue_id = as_boss.create_queue(queue, entity=name)
    service, key = accounts.service_account(name)
    as_agent = accounts.with_key(key)
    return Team(name, queue, boss, as_boss, service, key, as_agent.create_agent(queue_id, entity=name), as_agent)


def authors(team: Team, item_id: str) -> tuple[str, str, str]:
    """Authors of the item, its run spec, and its run once the agent has it."""
    found = team.as_boss.run(
        "query($id: ID!) { launchRunQueueItem(id: $id) { author runSpec } }", {"id": item_id}
    )["launchRunQueueItem"]  # fmt: skip
    assert team.as_agent.claim(team.agent, fresh_name("claim")) == [item_id]
    assert team.as_agent.ack(team.agent, item_id, run=f"run-{item_id}") == [True]
    run = team.as_agent.run(RUN, {"e": team.name, "p": "p", "r": f"run-{item_id}"})["project"]["run"]
    return found["author"], found["runSpec"]["author"], run["user"]["username"]


def test_the_submitter_is_the_author_independently_of_the_jobs_key(accounts: Accounts, team: Team) -> None:
    member, as_member = accounts.member(team.name, "MEMBER")
    item_id = as_member.push(team.queue, {"project": "p"}, entity=team.name)
    assert authors(team, item_id) == (member, member, member)


def test_a_user_cannot_submit_in_the_name_of_another(accounts: Accounts, team: Team) -> None:
    member, as_member = accounts.member(team.name, "MEMBER")
    as_member.send_header("X-WANDB-USERNAME", team.boss)
    item_id = as_member.push(team.queue, {"project": "p", "author": team.boss}, entity=team.name)
    assert authors(team, item_id) == (member, member, member)


def test_a_service_account_names_a_member_in_the_header(accounts: Accounts, team: Team) -> None:
    as_service = accounts.with_key(team.service_key, author=team.boss)
    item_id = as_service.push(team.queue, {"project": "p", "author": team.service}, entity=team.name)
    assert authors(team, item_id) == (team.boss, team.boss, team.boss)


def test_a_service_account_names_a_member_in_the_run_spec(accounts: Accounts, team: Team) -> None:
    """As the scheduler of a sweep and an agent that queues a preempted run again do."""
    as_service = accounts.with_key(team.service_key, author="")
    item_id = as_service.push(team.queue, {"project": "p", "author": team.boss}, entity=team.name)
    assert authors(team, item_id) == (team.boss, team.boss, team.boss)


@pytest.mark.parametrize("name", ["nobody", "me", "", "' OR 1=1 --", "x" * 5000, "\u00ff"])
def test_a_service_account_names_a_user_who_is_no_member(accounts: Accounts, team: Team, name: str) -> None:
    as_service = accounts.with_key(team.service_key)
    as_service.send_header("X-WANDB-USERNAME", name)
    item_id = as_service.push(team.queue, {"project": "p", "author": name}, entity=team.name)
    assert authors(team, item_id) == (team.service, team.service, team.service)


def test_a_service_account_stays_in_its_team(accounts: Accounts, team: Team) -> None:
    other = accounts.team(team.boss)
    assert team.as_agent.run("query($e: String) { entity(name: $e) { id } }", {"e": other}) == {"entity": None}
    with pytest.raises(RefusedByServer, match="cannot join another team"):
        team.as_boss.mutate("createInvite", "invite { id }", entityName=other, username=team.service)
    assert team.as_agent.run("{ viewer { username entity isServiceAccount } }")["viewer"] == {
        "username": team.service,
        "entity": team.name,
        "isServiceAccount": True,
    }


def test_a_service_account_that_is_removed_has_no_key_any_more(team: Team) -> None:
    find = "query($e: String) { entity(name: $e) { members { id accountType } } }"
    members = team.as_boss.run(find, {"e": team.name})
    robot = next(member for member in members["entity"]["members"] if member["accountType"] == "SERVICE")
    team.as_boss.mutate("deleteInvite", "success", entityName=team.name, id=robot["id"])
    with pytest.raises(RefusedByServer, match="401"):
        team.as_agent.run("{ viewer { id } }")


def test_a_run_goes_to_no_entity_that_its_submitter_may_not_change(accounts: Accounts, team: Team) -> None:
    stranger, _ = accounts.user()
    with pytest.raises(RefusedByServer, match="no entity"):
        team.as_boss.push(team.queue, {"project": "p", "entity": stranger}, entity=team.name)
    item_id = team.as_boss.push(team.queue, {"project": "p", "entity": team.boss}, entity=team.name)
    assert team.as_agent.claim(team.agent, fresh_name("claim")) == [item_id]
    team.as_agent.ack(team.agent, item_id, run="mine")
    found = team.as_boss.run(RUN, {"e": team.boss, "p": "p", "r": "mine"})
    assert found["project"]["run"]["user"] == {"username": team.boss}


def user_of(team: Team, run: str) -> str:
    found = team.as_boss.run(RUN, {"e": team.name, "p": "p", "r": run})
    return str(found["project"]["run"]["user"]["username"])


def start(api: Api, team: Team, run: str) -> None:
    """As wandb.init does."""
    api.mutate("upsertBucket", "inserted", entityName=team.name, modelName="p", name=run)


def test_the_run_stays_its_submitters_when_the_job_starts_it(accounts: Accounts, team: Team) -> None:
    member, as_member = accounts.member(team.name, "MEMBER")
    item_id = as_member.push(team.queue, {"project": "p"}, entity=team.name)
    team.as_agent.claim(team.agent, fresh_name("claim"))
    team.as_agent.ack(team.agent, item_id, run=f"run-{item_id}")
    for key in (team.service_key, team.as_boss.key):
        start(accounts.with_key(key, author=team.boss), team, f"run-{item_id}")
    assert user_of(team, f"run-{item_id}") == member


def test_a_run_without_an_item_has_the_author_that_the_client_names(accounts: Accounts, team: Team) -> None:
    member, as_member = accounts.member(team.name, "MEMBER")
    start(accounts.with_key(team.service_key, author=member), team, "named")
    start(accounts.with_key(team.service_key), team, "unnamed")
    as_member.send_header("X-WANDB-USERNAME", team.boss)
    start(as_member, team, "own")
    assert [user_of(team, run) for run in ("named", "unnamed", "own")] == [member, team.service, member]
