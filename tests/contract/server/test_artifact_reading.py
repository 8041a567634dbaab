"""Artifacts by name and alias, their collections and types, and changes to them, as W&B's public API asks for them."""

import json
from typing import Any

import pytest

from tests.support.artifacts import Logging, in_project, versions
from tests.support.server import Api, RefusedByServer, fresh_name


@pytest.mark.parametrize(
    ("alias", "index"), [("", 2), (":latest", 2), (":v0", 0), (":best", 1), (":v9", None), (":x", None)]
)
def test_a_version_is_found_by_name_and_alias(api: Api, alias: str, index: int | None) -> None:
    one, two, _ = versions(api, 3)
    wish = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": one.name, "alias": "best"}
    api.mutate("addAliases", "success", artifactID=two.id, aliases=[wish])
    found = in_project(
        api,
        "artifact(name: $name, enableTracking: true) { versionIndex }"
        " artifactCollectionMembership(name: $name) { versionIndex artifact { versionIndex } }"
        ' artifactType(name: "code") { artifact(name: $name) { versionIndex } }'
        ' other: artifactType(name: "nothing") { artifact(name: $name) { versionIndex } }',
        name=f"{one.name}{alias}",
    )
    assert found.pop("other") is None
    expected = None if index is None else {"versionIndex": index}
    assert found == {
        "artifact": expected,
        "artifactCollectionMembership": expected and {**expected, "artifact": expected},
        "artifactType": {"artifact": expected},
    }


def test_versions_come_newest_first_page_by_page(api: Api) -> None:
    made = versions(api, 5)
    query = """artifactCollection(name: $name) { artifacts(first: 2, after: $after, order: $order) {
        totalCount edges { version node { id } } pageInfo { hasNextPage endCursor } } }"""
    for order, expected in (("-createdAt", made[::-1]), ("createdAt", made)):
        got: list[str] = []
        after, more = "", True
        while more:
            asked = {"name": made[0].name, "after": after, "order": order}
            page = in_project(api, query, **asked)["artifactCollection"]["artifacts"]
            got += [edge["node"]["id"] for edge in page["edges"]]
            after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
            assert page["totalCount"] == 5
        assert got == [version.id for version in expected]


def test_versions_are_filtered_by_tag(api: Api) -> None:
    one, _ = versions(api, 2)
    api.mutate("updateArtifact", "artifact { id }", artifactID=one.id, tagsToAdd=[{"tagName": "good"}])

    def filtered(filters: str) -> list[Any]:
        versions = f"artifacts(filters: {json.dumps(filters)}) {{ edges {{ node {{ id tags {{ name }} }} }} }}"
        found = in_project(api, f"artifactCollection(name: $name) {{ {versions} }}", name=one.name)
        page = found["artifactCollection"]["artifacts"]
        return [edge["node"] for edge in page["edges"]]

    assert filtered('{"state": "COMMITTED", "tags": ["good"]}') == [{"id": one.id, "tags": [{"name": "good"}]}]
    assert filtered('{"tags": "goo"}') == []
    assert len(filtered('{"state": "COMMITTED"}')) == 2
    with pytest.raises(RefusedByServer, match="can be filtered by 'state' and 'tags' only"):
        filtered('{"sql": 1}')


def test_jobs_are_listed_by_their_type(api: Api) -> None:
    project = {"projectName": fresh_name("jobs")}
    first, second = (Logging(api, {}, artifactTypeName="job", **project) for _ in range(2))
    first.manifest()
    first.commit()
    query = """query($project: String!) { project(name: $project, entityName: "me") {
        artifactTypes { edges { node { name } } }
        artifactType(name: "job") { name artifactCollections { totalCount edges { node { name
            artifacts { edges { node { id state aliases { alias } artifactSequence { name } } } } } } } } } }"""
    found = api.run(query, {"project": project["projectName"]})["project"]
    assert [edge["node"]["name"] for edge in found["artifactTypes"]["edges"]] == ["job"]
    nodes = {
        edge["node"]["name"]: edge["node"]["artifacts"]["edges"]
        for edge in found["artifactType"]["artifactCollections"]["edges"]
    }
    assert second.name not in nodes, "`wandb artifact ls` of 0.20 fails at a collection without versions"
    assert found["artifactType"]["artifactCollections"]["totalCount"] == 1
    assert [edge["node"]["aliases"] for edge in nodes[first.name]] == [[{"alias": "latest"}, {"alias": "v0"}]]


def test_files_are_found_through_the_membership(api: Api) -> None:
    logged = Logging(api, {"a": b"a", "b": b"b"}).log()
    query = """artifactCollection(name: $name) { artifactMembership(aliasName: "v0") {
        files(first: 1) { totalCount edges { node { name displayName directUrl url } } pageInfo { hasNextPage } } } }"""
    files = in_project(api, query, name=logged.name)["artifactCollection"]["artifactMembership"]["files"]
    node = files["edges"][0]["node"]
    assert (files["totalCount"], files["pageInfo"]["hasNextPage"], node["displayName"]) == (2, True, "a")
    assert node["url"] == node["directUrl"]


def test_aliases_move_and_go(api: Api) -> None:
    one, two = versions(api, 2)
    wish = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": one.name, "alias": "best"}
    for version in (one, two):
        assert api.mutate("addAliases", "success", artifactID=version.id, aliases=[wish]) == {"success": True}
    aliases = "aliases { alias }"
    assert one.look(aliases)["aliases"] == [{"alias": "v0"}]
    assert {"alias": "best"} in two.look(aliases)["aliases"]  # type: ignore[operator]
    api.mutate("deleteAliases", "success", artifactID=two.id, aliases=[wish])
    assert two.look(aliases)["aliases"] == [{"alias": "latest"}, {"alias": "v1"}]
    given = [{"artifactCollectionName": one.name, "alias": word} for word in ("v1", "prod")]
    api.mutate("updateArtifact", "artifact { id }", artifactID=two.id, aliases=given)
    assert two.look(aliases)["aliases"] == [{"alias": "prod"}, {"alias": "v1"}]


@pytest.mark.parametrize("alias", ["v7", "a/b", "a:b", "", "x" * 129, "a\nb"])
def test_a_string_that_is_no_alias_is_refused(api: Api, alias: str) -> None:
    logged = Logging(api, {"a": b"a"}).log()
    wish = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": logged.name, "alias": alias}
    with pytest.raises(RefusedByServer, match="is no alias"):
        api.mutate("addAliases", "success", artifactID=logged.id, aliases=[wish])
    with pytest.raises(RefusedByServer, match="is no alias"):
        Logging(api, {}, aliases=[{"artifactCollectionName": "x", "alias": alias}])


def test_what_an_update_does_not_name_stays(api: Api) -> None:
    logged = Logging(api, {"a": b"a"}, metadata='{"x": 1}', tags=[{"tagName": "t1"}]).log()
    tags = {"tagsToAdd": [{"tagName": "t2"}], "tagsToDelete": [{"tagName": "t1"}]}
    api.mutate(
        "updateArtifact", "artifact { id }", artifactID=logged.id, description="d", ttlDurationSeconds=60, **tags
    )
    found = logged.look("description metadata ttlDurationSeconds ttlIsInherited tags { name } aliases { alias }")
    assert found == {
        "description": "d",
        "metadata": '{"x": 1}',
        "ttlDurationSeconds": 60,
        "ttlIsInherited": False,
        "tags": [{"name": "t2"}],
        "aliases": [{"alias": "latest"}, {"alias": "v0"}],
    }


def test_a_deleted_version_is_gone_and_its_number_is_not_given_again(api: Api) -> None:
    one, two, three = versions(api, 3)
    wish = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": one.name, "alias": "best"}
    api.mutate("addAliases", "success", artifactID=three.id, aliases=[wish])
    with pytest.raises(RefusedByServer, match=f"{one.name}:v2' has the aliases best"):
        api.mutate("deleteArtifact", "artifact { id }", artifactID=three.id)
    gone = api.mutate("deleteArtifact", "artifact { id state }", artifactID=three.id, deleteAliases=True)
    assert gone == {"artifact": {"id": three.id, "state": "DELETED"}}
    assert in_project(api, "artifact(name: $name) { id }", name=f"{one.name}:v2")["artifact"] is None
    assert in_project(api, "artifact(name: $name) { id }", name=one.name)["artifact"] == {"id": two.id}
    assert Logging(api, {"a": b"new"}, name=one.name).log().look("versionIndex") == {"versionIndex": 3}


def test_a_collection_is_changed_and_deleted(api: Api) -> None:
    logged = Logging(api, {"a": b"a"}).log()
    named = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": logged.name}
    api.mutate("createArtifactCollectionTagAssignments", "tags { name }", **named, tags=[{"tagName": "t"}])
    selection = "id name description state defaultArtifactType { name } tags { edges { node { name } } }"
    found = in_project(api, f"artifactCollection(name: $name) {{ {selection} }}", name=logged.name)
    collection_id = found["artifactCollection"]["id"]
    new = fresh_name("renamed")
    answer = f"artifactCollection {{ {selection} }}"
    api.mutate("moveArtifactSequence", answer, artifactSequenceID=collection_id, destinationArtifactTypeName="data")
    made = api.mutate("updateArtifactSequence", answer, artifactSequenceID=collection_id, name=new, description="d")
    assert made["artifactCollection"] == {
        "id": collection_id,
        "name": new,
        "description": "d",
        "state": "READY",
        "defaultArtifactType": {"name": "data"},
        "tags": {"edges": [{"node": {"name": "t"}}]},
    }
    gone = api.mutate("deleteArtifactSequence", "artifactCollection { state }", artifactSequenceID=collection_id)
    assert gone == {"artifactCollection": {"state": "DELETED"}}
    assert in_project(api, "artifactCollection(name: $name) { id }", name=new)["artifactCollection"] is None
    assert logged.look("id") is None


def test_an_id_of_the_client_leads_to_the_servers(api: Api) -> None:
    client_id = fresh_name("client")
    logged = Logging(api, {}, clientID=client_id)
    query = "query($id: ID!) { clientIDMapping(clientID: $id) { serverID } }"
    assert api.run(query, {"id": client_id})["clientIDMapping"] == {"serverID": logged.id}
    assert api.run(query, {"id": "nobody"})["clientIDMapping"] is None
