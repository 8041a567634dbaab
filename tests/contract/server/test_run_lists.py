"""Lists of runs: filters, orders, pages; and changes of runs by others than their client."""

import json
from typing import Any

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, fresh_name

pytestmark = pytest.mark.dialect

RUNS = """query($p: String, $f: JSONString, $o: String, $after: String, $n: Int) { project(name: $p) {
    runCount(filters: $f) readOnly
    runs(filters: $f, order: $o, after: $after, first: $n) {
        edges { node { name } cursor } pageInfo { endCursor hasNextPage } } } }"""


@pytest.fixture
def project(api: Api) -> str:
    """Five runs: r0 to r4; losses 4 to 0, the last one without; r3 and r4 have failed."""
    project = fresh_name("proj")
    for number in range(5):
        run = ClientRun(api, name=f"r{number}", project=project, config=json.dumps({"n": {"value": number}}))
        summary = json.dumps({"loss": 4 - number} if number < 4 else {})
        run.stream({"files": {"wandb-summary.json": {"content": [summary]}}})
        if number >= 3:
            run.stream({"complete": True, "exitcode": 1})
    return project


def listed(api: Api, project: str, given: object = None, order: str | None = None, **more: object) -> dict[str, Any]:
    found: dict[str, Any] = api.run(RUNS, {"p": project, "f": json.dumps(given or {}), "o": order, **more})["project"]
    return found


def names(api: Api, project: str, given: object = None, order: str | None = None) -> list[str]:
    return [edge["node"]["name"] for edge in listed(api, project, given, order)["runs"]["edges"]]


@pytest.mark.parametrize(
    ("given", "order", "expected"),
    [
        (None, None, ["r4", "r3", "r2", "r1", "r0"]),
        (None, "+created_at", ["r0", "r1", "r2", "r3", "r4"]),
        (None, "-name", ["r4", "r3", "r2", "r1", "r0"]),
        (None, "+summary_metrics.loss", ["r3", "r2", "r1", "r0", "r4"]),
        (None, "-summary_metrics.loss", ["r0", "r1", "r2", "r3", "r4"]),
        (None, "+state,-config.n.value", ["r4", "r3", "r2", "r1", "r0"]),
        ({"state": "failed"}, "+created_at", ["r3", "r4"]),
        ({"config.n": {"$gte": 2}, "state": {"$ne": "failed"}}, None, ["r2"]),
        ({"$or": [{"name": "r0"}, {"summary_metrics.loss": 1}]}, "+name", ["r0", "r3"]),
    ],
)
def test_filters_and_orders(api: Api, project: str, given: object, order: str | None, expected: list[str]) -> None:
    assert names(api, project, given, order) == expected
    assert listed(api, project, given, order)["runCount"] == len(expected)


@pytest.mark.parametrize(
    ("given", "order"), [({}, "+name"), ({"name": {"$regex": "r"}}, "+name"), ({}, "-summary_metrics.loss")]
)
def test_pages_follow_each_other(api: Api, project: str, given: object, order: str) -> None:
    found, after = [], None
    for _ in range(3):
        page = listed(api, project, given, order, n=2, after=after)["runs"]
        found += [edge["node"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
    assert found == ["r0", "r1", "r2", "r3", "r4"]
    assert page["pageInfo"]["hasNextPage"] is False


def test_a_filter_may_name_very_many_values(api: Api, project: str) -> None:
    assert names(api, project, {"name": {"$in": ["r1", *(f"x{number}" for number in range(50_000))]}}) == ["r1"]


def test_a_filter_that_cannot_be_used_is_refused(api: Api, project: str) -> None:
    with pytest.raises(RefusedByServer, match=r"400: '\$where' is no operator"):
        listed(api, project, {"state": {"$where": "x"}})


def test_a_deleted_run_is_gone_and_its_item_stays(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue, {"project": "proj"})
    api.claim(queue_and_agent.agent, fresh_name("claim"))
    api.ack(queue_and_agent.agent, item, run=f"of-{item}")
    run = ClientRun(api, name=f"of-{item}")
    run.log({"_step": step} for step in range(50))
    run.upload("a.txt", b"a")
    api.mutate("deleteRun", "clientMutationId", id=run.id)
    assert run.ask("id") is None
    with pytest.raises(RefusedByServer, match="404"):
        run.stream({})
    # It is gone, as was asked for.
    api.mutate("deleteRun", "clientMutationId", id=run.id)
    assert api.report(queue_and_agent.agent, item, 1, "finished")
    assert api.state(item) == "FINISHED"
    run.upsert()
    assert run.ask("historyLineCount fileCount") == {"historyLineCount": 0, "fileCount": 0}


@pytest.mark.parametrize(
    ("asked_for", "made_twice", "state"), [(True, False, "DELETED"), (False, False, "PENDING"), (True, True, "PENDING")]
)
def test_artifacts_of_one_run_alone_go_with_it_if_that_is_asked_for(
    api: Api, asked_for: bool, made_twice: bool, state: str
) -> None:
    run, other = ClientRun(api), ClientRun(api)
    values = {"entityName": "me", "projectName": "proj", "artifactTypeName": "data", "digest": fresh_name("digest")}
    values |= {"artifactCollectionName": fresh_name("data"), "clientID": fresh_name("client")}
    for maker in (run, other) if made_twice else (run,):
        made = api.mutate("createArtifact", "artifact { id }", runName=maker.name, **values)
    api.mutate("deleteRun", "clientMutationId", id=run.id, deleteArtifacts=asked_for)
    found = api.run("query($id: ID!) { artifact(id: $id) { state } }", {"id": made["artifact"]["id"]})
    assert found == {"artifact": {"state": state}}


def test_files_are_deleted_by_their_ids(api: Api) -> None:
    run = ClientRun(api)
    run.upload("a", b"a")
    run.upload("b", b"b")
    edges = run.ask('files(names: ["a"]) { edges { node { id } } }')["files"]["edges"]
    file_id = edges[0]["node"]["id"]
    assert api.mutate("deleteFiles", "success", files=[file_id], projectId=1) == {"success": True}
    assert api.mutate("deleteFiles", "success", files=[file_id]) == {"success": False}
    assert run.ask("fileCount") == {"fileCount": 1}
    with pytest.raises(RefusedByServer, match="400"):
        api.mutate("deleteFiles", "success", files=[run.id])


def test_a_lost_run_can_be_set_to_pending_or_failed(api: Api) -> None:
    run = ClientRun(api)
    assert api.mutate("updateRunState", "success", id=run.id, state="pending") == {"success": True}
    assert run.state == "pending"
    assert api.mutate("updateRunState", "success", id=run.id, state="failed") == {"success": True}
    for state in ("failed", "running"):
        with pytest.raises(RefusedByServer, match="is failed; it cannot be set to"):
            api.mutate("updateRunState", "success", id=run.id, state=state)


def test_what_the_client_said_of_its_machine(api: Api) -> None:
    run = ClientRun(api)
    metadata = {"program": "train.py", "python": "3.11", "args": ["-x"], "git": {"remote": "r", "commit": "c"}, "n": 1}
    run.upload("wandb-metadata.json", json.dumps(metadata).encode())
    found = run.ask("runInfo { program python args codeSaved git { remote commit } }")["runInfo"]
    assert found == {
        "program": "train.py",
        "python": "3.11",
        "args": ["-x"],
        "codeSaved": False,
        "git": {"remote": "r", "commit": "c"},
    }
    run.upload("wandb-metadata.json", b"no json")
    assert run.ask("runInfo { program }") == {"runInfo": None}
