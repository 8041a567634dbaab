"""What the key of a job, and the key of an agent, can be used for by whoever gets hold of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.contract.server.test_every_field import check
from tests.support.accounts import Accounts
from tests.support.field_args import FIELDS, ROWS
from tests.support.isolation import Isolation, setting
from tests.support.server import Api, RefusedByServer, fresh_name
from tests.support.tenant import QUEUE_PROJECT

SPEC_KEY = "_wandb_api_key"
VIEWER = "{ viewer { username admin } }"


@pytest.fixture(scope="module")
def isolation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Isolation]:
    with setting(tmp_path_factory.mktemp("server")) as made:
        yield made


@dataclass(frozen=True)
class Job:
    """A job of the team that a member pushed, in a project of its own, as an agent of the team got it."""

    api: Api
    submitter: str
    as_submitter: Api
    item: str
    queue: str
    project: str
    run: str
    agent: str
    as_agent: Api
    lease: int
    spec: dict[str, Any]

    def report(self, status: str, sequence: int = 1) -> None:
        report = {"runQueueItemId": self.item, "sequence": sequence, "status": status, "lease": self.lease}
        assert self.as_agent.results_of_reports(self.agent, report)[0]["answer"] == "TAKEN"


def start_job(isolation: Isolation, **spec: object) -> Job:
    accounts, team = isolation.accounts, isolation.victim.entity
    submitter, as_submitter = accounts.member(team, "MEMBER")
    _, key = accounts.service_account(team)
    return run_job(accounts, team, submitter, as_submitter, accounts.with_key(key), **spec)


def run_job(accounts: Accounts, team: str, submitter: str, pusher: Api, as_agent: Api, **spec: object) -> Job:
    queue, project = fresh_name("queue"), fresh_name("project")
    agent = as_agent.create_agent(pusher.create_queue(queue, entity=team), entity=team)
    item = pusher.push(queue, {"entity": team, "project": project, **spec}, entity=team)
    scheduler = spec.get("uri") is not None
    claimed = as_agent.claim_all(agent, fresh_name("claim"), items=1, schedulers=int(scheduler))["items"][0]
    run = f"run-{item}"
    assert as_agent.ack(agent, item, run=run) == [True]
    # As agents do it: W&B's key, else the agent's own.
    given = claimed["runSpec"]
    api = accounts.with_key(given.get(SPEC_KEY) or as_agent.key)
    return Job(api, submitter, pusher, item, queue, project, run, agent, as_agent, int(claimed["lease"]), given)


@pytest.fixture
def job(isolation: Isolation) -> Job:
    return start_job(isolation)


def refusal(api: Api, field: str, selection: str, **values: object) -> RefusedByServer:
    with pytest.raises(RefusedByServer) as refused:
        api.mutate(field, selection, **values)
    return refused.value


def stream(api: Api, team: str, project: str, run: str, body: object) -> int:
    address = f"{api.url}/files/{team}/{project}/{run}/file_stream"
    return requests.post(address, json=body, auth=("api", api.key), timeout=60).status_code


# What it is for.


def test_a_job_logs_any_number_of_runs_in_its_project_as_its_submitter(isolation: Isolation, job: Job) -> None:
    team = isolation.victim.entity
    assert job.api.run(VIEWER) == {"viewer": {"username": job.submitter, "admin": False}}
    names = {"entityName": team, "modelName": job.project}
    for name in (job.run, fresh_name("rank"), fresh_name("trial")):
        made = job.api.mutate("upsertBucket", "bucket { user { username } project { name } }", name=name, **names)
        assert made["bucket"]["user"]["username"] == job.submitter
        assert stream(job.api, team, job.project, name, {"files": {}, "dropped": 0}) == 200
    where = {"entityName": team, "projectName": job.project}
    files = job.api.mutate("createRunFiles", "files { uploadUrl }", **where, runName=job.run, files=["f.txt"])
    assert requests.put(files["files"][0]["uploadUrl"], b"x", timeout=60).ok
    version = job.api.mutate(
        "createArtifact",
        "artifact { id }",
        **where,
        artifactTypeName="model",
        artifactCollectionName="m",
        digest="d",
        runName=job.run,
    )
    assert version["artifact"]["id"]


def test_a_job_runs_a_sweep_of_its_project(isolation: Isolation, job: Job) -> None:
    where = {"entityName": isolation.victim.entity, "projectName": job.project}
    config = "{method: grid, parameters: {a: {values: [1]}}}"
    sweep = job.api.mutate("upsertSweep", "sweep { name }", **where, config=config)["sweep"]["name"]
    agent = job.api.mutate("createAgent", "agent { id }", **where, sweep=sweep, host="h")["agent"]["id"]
    answer = job.api.mutate("agentHeartbeat", "commands", id=agent, metrics="{}", runState="{}")
    assert json.loads(answer["commands"])[0]["type"] == "run"


def test_a_job_uses_and_links_what_its_submitter_may(isolation: Isolation, job: Job) -> None:
    victim = isolation.victim
    names = {"entityName": victim.entity, "projectName": job.project, "runName": job.run}
    job.api.mutate(
        "useArtifact",
        "artifact { id createdBy { ... on Run { name } } }",
        **names,
        artifactID=victim.committed_artifact,
    )
    elsewhere = {"entityName": victim.entity, "projectName": fresh_name("models")}
    linked = job.api.mutate(
        "linkArtifact",
        "versionIndex",
        **elsewhere,
        artifactPortfolioName=fresh_name("portfolio"),
        artifactID=victim.committed_artifact,
    )
    assert linked == {"versionIndex": 0}


def test_a_job_reads_as_its_submitter(isolation: Isolation, job: Job) -> None:
    find = "query($e: String, $p: String) { project(name: $p, entityName: $e) { name } }"
    own = {"e": isolation.victim.entity, "p": isolation.victim.project}
    assert job.api.run(find, own)["project"] is not None
    stranger, as_stranger = isolation.accounts.user()
    as_stranger.mutate("upsertModel", "inserted", name="p", entityName=stranger)
    assert job.api.run(find, {"e": stranger, "p": "p"}) == {"project": None}


# What it is not for.

OF_ITS_SUBMITTER = {"Mutation.linkArtifact"}
"""What a job may do as its submitter, in any project."""


@pytest.mark.parametrize(
    "field", [name for name in FIELDS if name.startswith("Mutation.") and name not in OF_ITS_SUBMITTER]
)
def test_a_job_changes_nothing_outside_of_its_project(isolation: Isolation, field: str) -> None:
    job = start_job(isolation)
    check(isolation, job.api, field, ROWS[field](isolation.victim), may_look=True)


@pytest.mark.parametrize("field", ["generateApiKey", "createRunQueue", "upsertRunQueue", "claimRunQueueItems"])
def test_a_job_is_told_what_its_key_is_not_for(isolation: Isolation, job: Job, field: str) -> None:
    arguments = ROWS[f"Mutation.{field}"](isolation.victim)["input"]
    refused = refusal(job.api, field, "__typename", **arguments)
    assert (refused.status, refused.messages) == (403, [f"This API key is a job's, which may not call {field}."])


def test_a_job_writes_into_no_other_project_of_its_team(isolation: Isolation, job: Job) -> None:
    team, other = isolation.victim.entity, fresh_name("other")
    job.as_submitter.mutate("upsertBucket", "bucket { id }", entityName=team, modelName=other, name="r")
    refused = refusal(job.api, "upsertBucket", "bucket { id }", entityName=team, modelName=other, name="r")
    assert (refused.status, "in the project of the job's run alone" in str(refused)) == (403, True)
    assert stream(job.api, team, other, "r", {"files": {}, "dropped": 0}) == 403


def test_a_job_pushes_to_no_queue_that_does_not_take_its_items(isolation: Isolation, job: Job) -> None:
    team = isolation.victim.entity
    spec = {"entity": team, "project": job.project}
    with pytest.raises(RefusedByServer, match="takes no items from jobs") as refused:
        job.api.push(job.queue, spec, entity=team)
    assert refused.value.status == 403
    queue_id = job.as_submitter.create_queue(job.queue, entity=team)
    job.as_submitter.mutate("setJobsMayPush", "success", queueId=queue_id, jobsMayPush=True)
    item = job.as_submitter.item(job.api.push(job.queue, spec, entity=team))
    assert item is not None
    assert item["runSpec"]["author"] == job.submitter
    with pytest.raises(RefusedByServer, match="in the project of the job's run alone"):
        job.api.push(job.queue, {"entity": team, "project": fresh_name("other")}, entity=team)


def test_a_scheduler_pushes_to_its_own_queue_alone(isolation: Isolation) -> None:
    job = start_job(isolation, uri="placeholder-uri-scheduler", resource="local-process")
    team = isolation.victim.entity
    assert job.api.push(job.queue, {"entity": team, "project": job.project}, entity=team)
    with pytest.raises(RefusedByServer, match="takes no items from jobs"):
        job.api.push(isolation.victim.queue, {"entity": team, "project": job.project}, entity=team)


def test_a_job_names_no_other_author(isolation: Isolation, job: Job) -> None:
    job.api.send_header("X-WANDB-USERNAME", isolation.victim.owner)
    names = {"entityName": isolation.victim.entity, "modelName": job.project, "name": fresh_name("run")}
    made = job.api.mutate("upsertBucket", "bucket { user { username } }", **names)
    assert made["bucket"]["user"]["username"] == job.submitter


def test_a_job_of_a_service_account_pushes_for_no_other_author(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    name, key = accounts.service_account(team)
    api = accounts.with_key(key)
    job = run_job(accounts, team, name, api, api, uri="placeholder-uri-scheduler", resource="local-process")
    spec = {"entity": team, "project": job.project, "author": isolation.victim.owner}
    pushed = api.item(job.api.push(job.queue, spec, entity=team))
    assert pushed is not None
    assert pushed["runSpec"]["author"] == name


def test_a_service_account_gets_no_eyes_of_the_member_that_it_names(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    named, as_named = accounts.member(team, "MEMBER")
    as_named.mutate("upsertModel", "inserted", name="private", entityName=named)
    _, key = accounts.service_account(team)
    pusher = accounts.with_key(key, author=named)
    job = run_job(accounts, team, named, pusher, accounts.with_key(key))
    assert job.spec["author"] == named
    find = 'query($e: String) { project(name: "private", entityName: $e) { name } }'
    assert job.api.run(find, {"e": named}) == {"project": None}
    names = {"entityName": team, "modelName": job.project, "name": job.run}
    made = job.api.mutate("upsertBucket", "bucket { user { username } }", **names)
    assert made["bucket"]["user"]["username"] == named, "whose run it is all the same"


def test_a_job_of_an_administrator_is_none(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    name, as_admin = accounts.user(admin=True)
    accounts.admin.mutate("createInvite", "invite { id }", entityName=team, username=name, role="ADMIN")
    _, key = accounts.service_account(team)
    job = run_job(accounts, team, name, as_admin, accounts.with_key(key))
    assert job.api.run(VIEWER) == {"viewer": {"username": name, "admin": False}}
    assert job.api.run("{ viewer { apiKeys { edges { node { id } } } } }")["viewer"]["apiKeys"]["edges"] == []


# How long it works.


def test_a_key_dies_at_the_outcome(isolation: Isolation, job: Job) -> None:
    job.report("running", 1)
    assert job.api.run(VIEWER)
    names = {"entityName": isolation.victim.entity, "modelName": job.project, "name": job.run}
    job.api.mutate("upsertBucket", "bucket { id }", **names)
    where = {"entityName": isolation.victim.entity, "projectName": job.project, "runName": job.run}
    link = job.api.mutate("createRunFiles", "files { uploadUrl }", **where, files=["a.txt"])["files"][0]["uploadUrl"]
    assert requests.put(link, b"content", timeout=20).status_code == 200

    job.report("finished", 2)

    assert requests.put(link, b"evil", timeout=20).status_code == 404
    assert refusal(job.api, "upsertBucket", "bucket { id }", **names).status in (401, 403, 404)
    with Api(job.api.url, job.api.key) as again:
        # Whom the server has not looked up yet.
        again.send_header("X-WANDB-USERNAME", "another")
        with pytest.raises(RefusedByServer) as refused:
            again.run(VIEWER)
    assert refused.value.status == 401


def test_a_key_outlives_its_lease(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    _, pusher = accounts.member(team, "MEMBER")
    queue = fresh_name("queue")
    agent = pusher.create_agent(pusher.create_queue(queue, entity=team), entity=team)
    item = pusher.push(queue, {"entity": team, "project": fresh_name("project")}, entity=team)
    first = pusher.claim_all(agent, "c1")["items"][0]["runSpec"]
    assert pusher.claim_all(agent, "c1")["items"][0]["runSpec"] == first, "a repeated claim gets the same key"
    pusher.mutate("returnRunQueueItems", "returned", launchAgentId=agent, runQueueItemIds=[item])
    second = pusher.claim_all(agent, "c2")["items"][0]["runSpec"]
    assert first[SPEC_KEY] != second[SPEC_KEY]
    for spec in (first, second):
        assert accounts.with_key(spec[SPEC_KEY]).run(VIEWER)


def test_a_key_works_for_no_other_item(isolation: Isolation, job: Job) -> None:
    other = start_job(isolation)
    forged = job.api.key[:16] + other.api.key[16:]
    with pytest.raises(RefusedByServer) as refused:
        isolation.accounts.with_key(forged).run(VIEWER)
    assert refused.value.status == 401


# Keys in run specs.


def test_no_reader_sees_a_key(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    _, pusher = accounts.member(team, "MEMBER")
    queue = fresh_name("queue")
    queue_id = pusher.create_queue(queue, entity=team)
    names = {"entityName": team, "projectName": QUEUE_PROJECT, "queueName": queue}
    spec = {"entity": team, "project": "p", SPEC_KEY: pusher.key}
    answer = pusher.mutate("pushToRunQueueByName", "runQueueItemId runSpec", **names, runSpec=json.dumps(spec))
    item = answer["runQueueItemId"]
    agent = pusher.create_agent(queue_id, entity=team)
    given = pusher.claim_all(agent, "c")["items"][0]["runSpec"][SPEC_KEY]
    assert given != pusher.key
    everything = json.dumps([answer, isolation.looking.item(item)])
    assert not any(key in everything for key in (pusher.key, given, SPEC_KEY))
    scheduler = {"queue": queue, "run_queue_entity": team, "run_spec": json.dumps(spec | {"run_id": "WANDB_SWEEP_ID"})}
    sweep = pusher.mutate(
        "upsertSweep",
        "sweep { scheduler }",
        entityName=team,
        projectName="p",
        config="{method: grid, parameters: {a: {values: [1]}}}",
        launchScheduler=json.dumps(scheduler),
    )
    assert SPEC_KEY not in json.dumps(sweep)
    database = isolation.server.data_dir / "server.sqlite"
    stored = [path.read_bytes() for path in (database, database.with_name("server.sqlite-wal")) if path.exists()]
    assert not any(key.encode() in content for content in stored for key in (pusher.key, given))


@pytest.mark.parametrize("key", ["x" * 40, 7, {"key": "k"}])
def test_a_key_that_is_none_of_the_pushers_is_refused(isolation: Isolation, job: Job, key: object) -> None:
    with pytest.raises(RefusedByServer, match="none of yours at this queue server"):
        job.as_submitter.push(job.queue, {"project": "p", SPEC_KEY: key}, entity=isolation.victim.entity)


def test_a_push_with_the_key_of_another_is_refused(isolation: Isolation, job: Job) -> None:
    spec = {"project": "p", SPEC_KEY: isolation.victim.api.key}
    with pytest.raises(RefusedByServer, match="none of yours at this queue server"):
        job.as_submitter.push(job.queue, spec, entity=isolation.victim.entity)


# Keys of agents.


def narrow_agent(isolation: Isolation) -> Api:
    accounts, team = isolation.accounts, isolation.victim.entity
    name, _ = accounts.service_account(team)
    return accounts.with_key(isolation.victim.api.mutate("generateApiKey", "key", username=name, role="AGENT")["key"])


SERVES = {
    f"Mutation.{name}"
    for name in (
        "ackRunQueueItem",
        "ackRunQueueItems",
        "claimRunQueueItems",
        "createLaunchAgent",
        "failRunQueueItem",
        "popFromRunQueue",
        "reportGpus",
        "reportRunQueueItems",
        "resumeLaunchAgent",
        "returnRunQueueItems",
        "updateLaunchAgent",
        "updateRunQueueItemWarning",
        "watchLaunchAgent",
    )
}


@pytest.mark.parametrize("field", [name for name in FIELDS if name.startswith("Mutation.") and name not in SERVES])
def test_an_agents_key_changes_nothing_but_items(isolation: Isolation, field: str) -> None:
    check(isolation, narrow_agent(isolation), field, ROWS[field](isolation.victim), may_look=True)


def test_an_agents_key_serves_queues_from_the_claim_to_the_end(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    name, pusher = accounts.member(team, "MEMBER")
    job = run_job(accounts, team, name, pusher, narrow_agent(isolation))
    job.report("running", 1)
    job.report("finished", 2)
    assert pusher.state(job.item) == "FINISHED"


def test_an_agents_key_logs_its_own_run_alone(isolation: Isolation) -> None:
    api, team = narrow_agent(isolation), isolation.victim.entity
    agent = api.create_agent(isolation.victim.queue_id, entity=team)
    name = api.run("query($id: ID!) { launchAgent(id: $id) { name } }", {"id": agent})["launchAgent"]["name"]
    own = {"entityName": team, "modelName": QUEUE_PROJECT}
    assert api.mutate("upsertBucket", "bucket { name project { name } }", **own, name=name)["bucket"]["name"] == name
    files = {"entityName": team, "projectName": QUEUE_PROJECT, "runName": name, "files": ["i/error/error.log"]}
    assert api.mutate("createRunFiles", "files { uploadUrl }", **files)["files"]
    assert stream(api, team, QUEUE_PROJECT, name, {"files": {}, "dropped": 0}) == 200
    for other in ({**own, "name": "other"}, {"entityName": team, "modelName": "proj", "name": name}):
        assert refusal(api, "upsertBucket", "bucket { id }", **other).status == 403


def test_an_agents_key_cancels_the_sweep_whose_scheduler_it_served_and_no_other(isolation: Isolation) -> None:
    team, queue, grid = isolation.victim.entity, fresh_name("queue"), "{method: grid, parameters: {a: {values: [1]}}}"
    _, pusher = isolation.accounts.member(team, "MEMBER")
    as_agent = narrow_agent(isolation)
    agent = as_agent.create_agent(pusher.create_queue(queue, entity=team), entity=team)
    where = {"entityName": team, "projectName": "swept"}
    spec = {"uri": "placeholder-uri-scheduler", "entity": team, "project": "swept", "run_id": "WANDB_SWEEP_ID"}
    scheduler = json.dumps({"queue": queue, "run_queue_entity": team, "run_spec": json.dumps(spec)})
    made = pusher.mutate("upsertSweep", "sweep { id name }", **where, config=grid, launchScheduler=scheduler)["sweep"]
    other = pusher.mutate("upsertSweep", "sweep { id name }", **where, config=grid)["sweep"]
    claimed = as_agent.claim_all(agent, "c", items=0, schedulers=1)["items"][0]
    assert as_agent.ack(agent, claimed["runQueueItemId"], run=made["name"]) == [True]

    def upsert(sweep: str, **change: str) -> dict[str, str]:
        answer = as_agent.mutate("upsertSweep", "sweep { state }", id=sweep, **where, **change)
        return dict(answer["sweep"])

    for change in ({"state": "FINISHED"}, {"state": "CANCELED", "description": "mine"}, {"config": grid}):
        with pytest.raises(RefusedByServer, match="of sweeps it cancels those alone"):
            upsert(made["id"], **change)
    with pytest.raises(RefusedByServer, match="of sweeps it cancels those alone"):
        upsert(other["id"], state="CANCELED")
    assert upsert(made["id"], state="CANCELED") == {"state": "CANCELED"}


def test_an_agents_key_puts_back_what_was_preempted_and_nothing_else(isolation: Isolation) -> None:
    accounts, team = isolation.accounts, isolation.victim.entity
    name, pusher = accounts.member(team, "MEMBER")
    job = run_job(accounts, team, name, pusher, narrow_agent(isolation), overrides={"args": ["kept"]})
    job.report("preempted", 1)
    spec = {"entity": team, "project": "other", "run_id": job.run, "overrides": {"args": ["forged"]}}
    again = job.as_agent.push(job.queue, spec, entity=team)
    assert job.as_agent.push(job.queue, spec, entity=team) == again, "once for each preemption"
    found = pusher.item(again)
    assert found is not None
    kept = found["runSpec"]
    assert (kept["author"], kept["project"], kept["run_id"]) == (name, job.project, job.run)
    assert (kept["overrides"]["args"], kept["_resume_count"]) == (["kept"], 1)
    with pytest.raises(RefusedByServer, match="puts back only runs that were preempted"):
        job.as_agent.push(job.queue, {"entity": team, "project": "p", "run_id": "new"}, entity=team)
