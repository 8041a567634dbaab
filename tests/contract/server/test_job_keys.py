"""The keys of jobs and agents, on either database; `tests/attacks` tries what they are not for."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, fresh_name

SPEC_KEY = "_wandb_api_key"


@dataclass(frozen=True)
class Team:
    """A team with a queue, a member who pushes to it, and an agent with an agent's key."""

    name: str
    member: str
    as_member: Api
    as_agent: Api
    agent: str
    queue: str

    def push(self, project: str = "p", **options: object) -> str:
        return self.as_member.push(self.queue, {"entity": self.name, "project": project}, entity=self.name, **options)

    def claim(self) -> dict[str, Any]:
        items: list[dict[str, Any]] = self.as_agent.claim_all(self.agent, fresh_name("claim"))["items"]
        return items[0]

    def started(self, accounts: Accounts, project: str = "p") -> tuple[str, Api]:
        """An item whose job runs, and a connection with the job's key."""
        item, claimed = self.push(project), self.claim()
        assert claimed["runQueueItemId"] == item
        assert self.as_agent.ack(self.agent, item) == [True]
        return item, accounts.with_key(claimed["runSpec"][SPEC_KEY])


@pytest.fixture
def team(accounts: Accounts) -> Team:
    boss, as_boss = accounts.user()
    name, queue = accounts.team(boss), fresh_name("queue")
    member, as_member = accounts.member(name, "MEMBER")
    robot, _ = accounts.service_account(name)
    as_agent = accounts.with_key(as_boss.mutate("generateApiKey", "key", username=robot, role="AGENT")["key"])
    queue_id = as_boss.create_queue(queue, entity=name)
    return Team(name, member, as_member, as_agent, as_agent.create_agent(queue_id, entity=name), queue)


def log(api: Api, entity: str, project: str, run: str) -> str:
    """Log to a run. Returns the run's user."""
    selection = "bucket { user { username } }"
    made = api.mutate("upsertBucket", selection, entityName=entity, modelName=project, name=run)
    return str(made["bucket"]["user"]["username"])


def status_of_stream(api: Api, entity: str, project: str, run: str, **body: object) -> int:
    address = f"{api.url}/files/{entity}/{project}/{run}/file_stream"
    return requests.post(address, json=body, auth=("api", api.key), timeout=10).status_code


def is_refused(api: Api) -> bool:
    """Whether the server does not know the key of a connection, which it has not seen before."""
    with Api(api.url, api.key) as again:
        again.send_header("X-WANDB-USERNAME", fresh_name("unseen"))
        try:
            again.run("{ viewer { id } }")
        except RefusedByServer as refused:
            return refused.status == 401
    return False


def test_a_job_works_in_the_project_of_its_run(accounts: Accounts, team: Team) -> None:
    project = fresh_name("project")
    item, job = team.started(accounts, project)
    for run in (f"run-{item}", fresh_name("rank")):
        assert log(job, team.name, project, run) == team.member
        assert status_of_stream(job, team.name, project, run) == 200
    for other in (fresh_name("other"), "model-registry"):
        with pytest.raises(RefusedByServer, match="in the project of the job's run alone"):
            log(job, team.name, other, "r")
    assert status_of_stream(job, team.name, "model-registry", "r") == 403
    with pytest.raises(RefusedByServer, match="may not call claimRunQueueItems"):
        job.claim(team.agent, "c")


def test_a_job_pushes_where_the_queue_takes_its_items(accounts: Accounts, team: Team) -> None:
    _, job = team.started(accounts, project="mine")
    spec = {"entity": team.name, "project": "mine"}
    with pytest.raises(RefusedByServer, match="takes no items from jobs"):
        job.push(team.queue, spec, entity=team.name)
    queue_id = team.as_member.create_queue(team.queue, entity=team.name)
    assert team.as_member.mutate("setJobsMayPush", "success", queueId=queue_id, jobsMayPush=True) == {"success": True}
    found = team.as_member.item(job.push(team.queue, spec, entity=team.name))
    assert found is not None
    assert found["runSpec"]["author"] == team.member
    with pytest.raises(RefusedByServer, match="in the project of the job's run alone"):
        job.push(team.queue, spec | {"project": "other"}, entity=team.name)


def test_a_scheduler_pushes_to_its_own_queue(accounts: Accounts, team: Team) -> None:
    spec = {"entity": team.name, "project": "p", "uri": "placeholder-uri-scheduler", "resource": "local-process"}
    item = team.as_member.push(team.queue, spec, entity=team.name)
    claimed = team.as_agent.claim_all(team.agent, fresh_name("claim"), items=0, schedulers=1)["items"][0]
    assert team.as_agent.ack(team.agent, item, run="sweep") == [True]
    job = accounts.with_key(claimed["runSpec"][SPEC_KEY])
    pushed = job.push(team.queue, {"entity": team.name, "project": "p", "sweep_id": "sweep"}, entity=team.name)
    assert team.as_member.state(pushed) == "PENDING"
    other = fresh_name("queue")
    team.as_member.create_queue(other, entity=team.name)
    with pytest.raises(RefusedByServer, match="takes no items from jobs"):
        job.push(other, {"entity": team.name, "project": "p"}, entity=team.name)


def test_a_key_ends_with_the_outcome_and_not_with_the_lease(accounts: Accounts, team: Team) -> None:
    item = team.push()
    first = accounts.with_key(team.claim()["runSpec"][SPEC_KEY])
    team.as_agent.mutate("returnRunQueueItems", "returned", launchAgentId=team.agent, runQueueItemIds=[item])
    second = accounts.with_key(team.claim()["runSpec"][SPEC_KEY])
    assert (first.key != second.key, is_refused(first), is_refused(second)) == (True, False, False)
    assert team.as_agent.ack(team.agent, item, run="r") == [True]
    assert log(first, team.name, "p", "r") == team.member
    assert team.as_agent.report(team.agent, item, 1, "finished")
    assert (is_refused(first), is_refused(second)) == (True, True)
    with pytest.raises(RefusedByServer):
        log(first, team.name, "p", "r")


def test_the_key_of_a_job_of_wandbs_agent_outlives_its_run(accounts: Accounts, team: Team) -> None:
    """Nothing reports the end of its process, which may have more runs."""
    item = team.push()
    names = {"entityName": team.name, "projectName": "model-registry", "queueName": team.queue}
    popped = team.as_agent.mutate("popFromRunQueue", "runSpec", **names, launchAgentId=team.agent)
    job = accounts.with_key(popped["runSpec"][SPEC_KEY])
    assert team.as_agent.mutate("ackRunQueueItem", "success", runQueueItemId=item, runName="r") == {"success": True}
    log(job, team.name, "p", "r")
    assert status_of_stream(job, team.name, "p", "r", complete=True, exitcode=0) == 200
    assert team.as_member.state(item) == "FINISHED"
    assert log(job, team.name, "p", "second") == team.member


def test_a_retry_has_a_key_in_the_name_of_who_retries(accounts: Accounts, team: Team) -> None:
    item, job = team.started(accounts)
    assert team.as_agent.report(team.agent, item, 1, "failed")
    other, as_other = accounts.member(team.name, "MEMBER")
    again = as_other.push(team.queue, {"entity": team.name, "project": "p"}, entity=team.name)
    key = team.claim()["runSpec"][SPEC_KEY]
    assert team.as_agent.ack(team.agent, again) == [True]
    assert (is_refused(job), log(accounts.with_key(key), team.name, "p", "r2")) == (True, other)


def test_a_run_is_put_back_by_an_agent_in_the_name_of_who_pushed_it(team: Team) -> None:
    names = {"entityName": team.name, "projectName": "model-registry", "queueName": team.queue}
    item = team.push()
    spec = team.claim()["runSpec"]
    assert team.as_agent.ack(team.agent, item, run="r") == [True]
    assert team.as_agent.report(team.agent, item, 1, "preempted")
    # With the job's key in it, as W&B's agent sends it.
    pushed = json.dumps(spec | {"run_id": "r", "_resume_count": 1})
    again = team.as_agent.mutate("pushToRunQueueByName", "runQueueItemId runSpec", **names, runSpec=pushed)
    assert SPEC_KEY not in again["runSpec"]
    claimed = team.claim()
    assert (claimed["runQueueItemId"], claimed["runSpec"]["author"]) == (again["runQueueItemId"], team.member)
    assert claimed["runSpec"][SPEC_KEY] != spec[SPEC_KEY]


def test_a_member_may_push_a_spec_back_with_the_key_of_its_job(team: Team) -> None:
    """As W&B's agent does that has a member's key."""
    item = team.push()
    spec = team.claim()["runSpec"]
    assert team.as_agent.ack(team.agent, item) == [True]
    assert team.as_agent.report(team.agent, item, 1, "preempted")
    again = team.as_member.item(team.as_member.push(team.queue, spec, entity=team.name))
    assert again is not None
    assert SPEC_KEY not in again["runSpec"]


def test_who_leaves_the_team_takes_the_rights_of_the_jobs_along(accounts: Accounts, team: Team) -> None:
    _, job = team.started(accounts)
    log(job, team.name, "p", "r")
    find = "query($e: String) { entity(name: $e) { members { id username } } }"
    members = accounts.with_key(team.as_agent.key).run(find, {"e": team.name})["entity"]["members"]
    leaving = next(found["id"] for found in members if found["username"] == team.member)
    accounts.admin.mutate("deleteInvite", "success", entityName=team.name, id=leaving)
    with pytest.raises(RefusedByServer, match="There is no entity"):
        log(job, team.name, "p", "r")


def test_an_agent_answers_for_the_items_of_its_own_entity_alone(accounts: Accounts, team: Team) -> None:
    boss, as_boss = accounts.user()
    other = accounts.team(boss)
    accounts.admin.mutate("createInvite", "invite { id }", entityName=team.name, username=boss, role="MEMBER")
    agent = as_boss.create_agent(as_boss.create_queue(fresh_name("queue"), entity=other), entity=other)
    item, lease = team.push(), team.claim()["lease"]
    ack = {"runQueueItemId": item, "runName": "r", "lease": lease}
    assert as_boss.results_of_acks(agent, ack)[0]["answer"] == "LEASE_ENDED"
    assert team.as_agent.ack(team.agent, item, run="r") == [True]
    report = {"runQueueItemId": item, "lease": lease, "sequence": 1, "status": "finished"}
    assert as_boss.results_of_reports(agent, report)[0]["answer"] == "LEASE_ENDED"
    held = {"runQueueItemId": item, "lease": lease, "acknowledged": True, "runName": "r"}
    as_boss.resume(agent, held)
    found = team.as_member.item(item)
    assert found is not None
    assert (found["state"], found["launchAgentId"]) == ("CLAIMED", team.agent)


def test_a_reset_is_in_the_log_of_the_account(accounts: Accounts) -> None:
    name = fresh_name("user")
    first = accounts.admin.mutate("createUser", "key", email="x@example.org", username=name)["key"]
    made = accounts.admin.mutate("resetApiKeys", "revoked key file", username=name)
    assert (made["revoked"], made["file"]) == (1, None)
    api = accounts.with_key(made["key"])
    events = api.run("{ viewer { accountEvents { actor sentence createdAt } } }")["viewer"]["accountEvents"]
    assert [(event["actor"], event["sentence"]) for event in events] == [
        ("me", "Reset the API keys: 1 were revoked, one was made.")
    ]
    assert is_refused(accounts.with_key(first))
