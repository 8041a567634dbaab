"""Lineage of runs and artifacts, read from both sides."""

from typing import Any

import pytest

from tests.support.accounts import Accounts, make_accounts
from tests.support.artifacts import Logging
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name


def run_of(api: Api, entity: str = "me") -> dict[str, str]:
    """A new run, as the names that mutations take."""
    name = fresh_name("run")
    api.mutate("upsertBucket", "bucket { id }", entityName=entity, modelName="proj1", name=name)
    return {"entityName": entity, "projectName": "proj1", "runName": name}


def artifacts_of(api: Api, run: dict[str, str]) -> dict[str, Any]:
    connection = "{ totalCount edges { node { id } } pageInfo { hasNextPage } }"
    query = f"""query($e: String!, $p: String!, $r: String!) {{ project(name: $p, entityName: $e) {{ run(name: $r) {{
        inputArtifacts {connection} outputArtifacts(first: 1) {connection} }} }} }}"""
    names = {"e": run["entityName"], "p": run["projectName"], "r": run["runName"]}
    found: dict[str, Any] = api.run(query, names)["project"]["run"]
    return {side: [edge["node"]["id"] for edge in page["edges"]] for side, page in found.items()}


LOOK = "createdBy { __typename ... on Run { name } } usedBy { edges { node { name } } }"


def test_a_run_makes_and_another_uses(api: Api) -> None:
    maker, user = run_of(api), run_of(api)
    logged = Logging(api, {"a": fresh_name("a").encode()}, runName=maker["runName"]).log()
    for _ in range(2):
        answer = api.mutate("useArtifact", "artifact { id digest }", artifactID=logged.id, **user)
        assert answer["artifact"]["id"] == logged.id
    assert artifacts_of(api, maker) == {"inputArtifacts": [], "outputArtifacts": [logged.id]}
    assert artifacts_of(api, user) == {"inputArtifacts": [logged.id], "outputArtifacts": []}
    assert logged.look(LOOK) == {
        "createdBy": {"__typename": "Run", "name": maker["runName"]},
        "usedBy": {"edges": [{"node": {"name": user["runName"]}}]},
    }


def test_what_is_made_again_was_made_by_both(api: Api) -> None:
    one, two = run_of(api), run_of(api)
    content = fresh_name("content").encode()
    logged = Logging(api, {"a": content}, runName=one["runName"]).log()
    again = Logging(api, {"a": content}, name=logged.name, runName=two["runName"], enableDigestDeduplication=True)
    assert again.id == logged.id
    assert artifacts_of(api, two)["outputArtifacts"] == [logged.id]
    assert logged.look(LOOK)["createdBy"] == {"__typename": "Run", "name": one["runName"]}


def test_what_is_not_committed_is_no_output_yet(api: Api) -> None:
    maker = run_of(api)
    pending = Logging(api, {"a": fresh_name("a").encode()}, runName=maker["runName"])
    assert artifacts_of(api, maker)["outputArtifacts"] == []
    pending.log()
    assert artifacts_of(api, maker)["outputArtifacts"] == [pending.id]


def test_the_end_of_a_run_is_not_the_end_of_what_it_made(api: Api) -> None:
    maker = run_of(api)
    logged = Logging(api, {"a": fresh_name("a").encode()}, runName=maker["runName"]).log()
    query = 'query($r: String!) { project(name: "proj1") { run(name: $r) { id } } }'
    run_id = api.run(query, {"r": maker["runName"]})["project"]["run"]["id"]
    api.mutate("deleteRun", "clientMutationId", id=run_id)
    assert logged.look(f"state {LOOK}") == {"state": "COMMITTED", "createdBy": None, "usedBy": {"edges": []}}


def test_what_is_not_there_cannot_be_used(api: Api) -> None:
    run = run_of(api)
    pending = Logging(api, {"a": b"a"})
    with pytest.raises(RefusedByServer, match="is PENDING, so it cannot be used"):
        api.mutate("useArtifact", "artifact { id }", artifactID=pending.id, **run)
    logged = pending.log()
    with pytest.raises(RefusedByServer, match="has no run 'nobody'"):
        api.mutate("useArtifact", "artifact { id }", artifactID=logged.id, **{**run, "runName": "nobody"})


@pytest.fixture
def others(server: RunningServer) -> Any:
    with make_accounts(server) as found:
        yield found


def test_a_run_of_others_is_not_seen(api: Api, others: Accounts) -> None:
    """The admin of a server is a member of no team but their own."""
    owner, theirs = others.user()
    team = others.team(owner)
    _, both = others.member(team, "MEMBER")
    logged = Logging(theirs, {"a": b"a"}, entityName=team).log()
    run = run_of(theirs, team)
    theirs.mutate("useArtifact", "artifact { id }", artifactID=logged.id, **run)
    assert both.run(f"query($id: ID!) {{ artifact(id: $id) {{ {LOOK} }} }}", {"id": logged.id})["artifact"]["usedBy"][
        "edges"
    ] == [{"node": {"name": run["runName"]}}]
    with pytest.raises(RefusedByServer, match="no artifact with the id"):
        api.mutate("useArtifact", "artifact { id }", artifactID=logged.id, **run_of(api))
