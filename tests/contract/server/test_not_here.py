"""What W&B's server has and this one has not is refused with a sentence; what is deleted may be deleted again."""

import json
from typing import Any

import pytest
import requests

from tests.support.artifacts import Logging, in_project, versions
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, fresh_name
from tests.support.sweeps import GRID, ClientSweep


def ask(api: Api, document: str) -> tuple[int, dict[str, Any]]:
    answer = requests.post(f"{api.url}/graphql", json={"query": document}, auth=("api", api.key), timeout=20)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ('mutation { createCustomChart(input: {entity: "me"}) { chart { id } } }', "custom charts"),
        (
            "mutation($i: CreateFilterTriggerInput!) { createFilterTrigger(input: $i) { trigger { id } } }",
            "automations",
        ),
        ("query { entity { artifactMemberships { edges { node { id } } } } }", "registries"),
        ('query { project(name: "p") { triggers { id } } }', "automations"),
    ],
)
def test_what_is_not_here_is_told_with_a_status_that_old_clients_read(api: Api, document: str, word: str) -> None:
    status, answer = ask(api, document)

    assert (status, list(answer)) == (200, ["errors"])
    assert word in answer["errors"][0]["message"]


def test_a_mistake_stays_one(api: Api) -> None:
    status, answer = ask(api, "query { viewer { nmae } }")
    assert (status, answer["errors"][0]["message"][:25]) == (400, "Cannot query field 'nmae'")


def test_what_is_deleted_may_be_deleted_again(api: Api) -> None:
    run, logged, queue = ClientRun(api), Logging(api, {"a": b"a"}).log(), api.create_queue(fresh_name("gone"))
    found: Any = logged.look("artifactSequence { id }")["artifactSequence"]
    for _ in range(2):
        api.mutate("deleteRun", "clientMutationId", id=run.id)
        api.mutate("deleteArtifactSequence", "artifactCollection { state }", artifactSequenceID=found["id"])
        api.mutate("deleteRunQueues", "success", queueIDs=[queue])
    with pytest.raises(RefusedByServer, match="404"):
        api.mutate("deleteRun", "clientMutationId", id="UnVuOnYxOm5vbmU6bm93aGVyZTptZQ==")


def test_versions_are_ordered_by_names_with_underscores_too(api: Api) -> None:
    name = versions(api, 2)[0].name
    selection = 'artifactCollection(name: $n) {{ artifacts(order: "{}") {{ edges {{ version }} }} }}'
    orders = {
        order: [edge["version"] for edge in found["artifactCollection"]["artifacts"]["edges"]]
        for order in ("+version_index", "-created_at")
        for found in [in_project(api, selection.format(order), n=name)]
    }
    assert orders == {"+version_index": ["v0", "v1"], "-created_at": ["v1", "v0"]}


def test_a_committed_version_has_a_commit_hash_and_types_have_pages(api: Api) -> None:
    one, other = versions(api, 2)
    hashes = {str(each.look("commitHash")["commitHash"]) for each in (one, other)}
    assert {len(each) for each in hashes} == {20}
    assert len(hashes) == 2
    Logging(api, {}, artifactTypeName="zebra").log()
    page = in_project(
        api, "artifactTypes(first: 1) { edges { node { name } cursor } pageInfo { hasNextPage endCursor } }"
    )
    assert page["artifactTypes"]["pageInfo"] == {"hasNextPage": True, "endCursor": "1"}
    rest = in_project(api, 'artifactTypes(after: "1") { edges { node { name } } pageInfo { hasNextPage } }')
    assert rest["artifactTypes"]["edges"][-1]["node"]["name"] == "zebra"


def test_a_scheduler_may_leave_out_the_queues_project(api: Api) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    spec = json.dumps({"uri": "placeholder-uri-scheduler", "resource": "local-process", "run_id": "WANDB_SWEEP_ID"})
    scheduler = {"queue": queue, "run_queue_project": None, "run_spec": spec}
    assert ClientSweep(api, GRID, launchScheduler=json.dumps(scheduler)).name


def test_ten_million_characters_may_be_sent_where_they_are_ignored(api: Api) -> None:
    """As `wandb verify` does, to try the proxy before a server."""
    run = ClientRun(api)
    query = """query($r: String!, $desc: String!) {
        project(name: "proj") { run(name: $r, desc: $desc) { name } } }"""
    assert api.run(query, {"r": run.name, "desc": "a" * 10**7})["project"]["run"] == {"name": run.name}
    run.upsert(config=json.dumps({"long": {"value": "b" * (10**7 - 100)}}))
    with pytest.raises(RefusedByServer, match="at most 262144 are taken"):
        api.run(query, {"r": "a" * 300_000, "desc": ""})


def test_pages_of_any_origin_may_use_links(api: Api) -> None:
    content = fresh_name("a").encode()
    logged = Logging(api, {"a": content})
    (node,) = logged.announce()
    asked = {"Origin": "https://pages.example", "Access-Control-Request-Method": "PUT"}
    allowed = requests.options(str(node["uploadUrl"]), headers=asked, timeout=20)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (204, "*")
    done = requests.put(str(node["uploadUrl"]), content, headers={"Origin": "https://pages.example"}, timeout=20)
    assert (done.status_code, done.headers["Access-Control-Allow-Origin"]) == (200, "*")
    other = requests.options(f"{api.url}/graphql", headers=asked, timeout=20)
    assert "Access-Control-Allow-Origin" not in other.headers
