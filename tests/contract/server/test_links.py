"""Portfolios: collections to which versions are linked, with numbers and aliases of their own there."""

from typing import Any

import pytest

from tests.support.accounts import Accounts
from tests.support.artifacts import Logging, in_project, versions
from tests.support.server import Api, RefusedByServer, fresh_name

MEMBERSHIP = "versionIndex aliases { alias } artifactCollection { __typename name } artifact { id versionIndex }"


def link(api: Api, version: Logging, portfolio: str, *aliases: str, entity: str = "me", project: str = "proj1") -> Any:
    """The response: the number in the portfolio, the membership, its collection's id among it."""
    return api.mutate(
        "linkArtifact",
        f"versionIndex artifactMembership {{ artifactCollection {{ id }} {MEMBERSHIP} }}",
        artifactID=version.id,
        artifactPortfolioName=portfolio,
        entityName=entity,
        projectName=project,
        aliases=[{"artifactCollectionName": portfolio, "alias": word} for word in aliases],
    )


def collection_id(linked: Any) -> str:
    return str(linked["artifactMembership"]["artifactCollection"]["id"])


def member(api: Api, name: str) -> Any:
    """What a name stands for: the version's id and number, and its number and aliases in the collection named."""
    found = in_project(api, f"artifactCollectionMembership(name: $name) {{ {MEMBERSHIP} }}", name=name)
    membership = found["artifactCollectionMembership"]
    if membership is None:
        return None
    return membership["artifact"]["id"], membership["versionIndex"], [each["alias"] for each in membership["aliases"]]


def test_a_portfolio_has_numbers_and_aliases_of_its_own(api: Api) -> None:
    one, two = versions(api, 2)
    portfolio = fresh_name("links")
    made = [
        link(api, two, portfolio, "prod")["versionIndex"],
        link(api, one, portfolio, "first", "prod")["versionIndex"],
    ]
    assert made == [0, 1]
    assert link(api, two, portfolio)["versionIndex"] == 0, "linked once more, it keeps its number"

    assert member(api, f"{portfolio}:v0") == member(api, portfolio) == (two.id, 0, ["latest", "v0"])
    assert member(api, f"{portfolio}:prod") == (one.id, 1, ["prod", "first", "v1"])
    assert member(api, one.name) == (two.id, 1, ["latest", "v1"]), "the source is as it was"
    assert member(api, f"{portfolio}:v2") is None
    selection = "artifact(name: $name) { id artifactSequence { name } aliases { alias artifactCollection { name } } }"
    found = in_project(api, selection, name=f"{portfolio}:v0")["artifact"]
    assert (found["id"], found["artifactSequence"]["name"]) == (two.id, one.name)
    assert [(each["artifactCollection"]["name"], each["alias"]) for each in found["aliases"]] == [
        (one.name, "latest"),
        (one.name, "v1"),
        (portfolio, "latest"),
        (portfolio, "v0"),
    ]


def test_a_portfolio_is_listed_and_read_as_a_collection(api: Api) -> None:
    one, two = versions(api, 2)
    project = {"projectName": fresh_name("project")}
    for version in (one, two):
        linked = link(api, version, "links", project=project["projectName"])
    query = """query($project: String!) { project(name: $project, entityName: "me") { artifactType(name: "code") {
        artifactCollections { totalCount edges { node { __typename name } } } artifactSequence(name: "links") { id }
        artifactCollection(name: "links") { id aliases { edges { node { alias } } } latestArtifact { id }
            project { name } artifacts(first: 1) { totalCount edges { version node { id } }
            pageInfo { hasNextPage endCursor } } } } } }"""
    found = api.run(query, {"project": project["projectName"]})["project"]["artifactType"]
    assert found["artifactCollections"] == {
        "totalCount": 1,
        "edges": [{"node": {"__typename": "ArtifactPortfolio", "name": "links"}}],
    }
    assert found["artifactSequence"] is None
    assert found["artifactCollection"] == {
        "id": collection_id(linked),
        "aliases": {"edges": [{"node": {"alias": "latest"}}]},
        "latestArtifact": {"id": two.id},
        "project": {"name": project["projectName"]},
        "artifacts": {
            "totalCount": 2,
            "edges": [{"version": "v1", "node": {"id": two.id}}],
            "pageInfo": {"hasNextPage": True, "endCursor": "1"},
        },
    }
    memberships = f"artifactMemberships {{ edges {{ node {{ {MEMBERSHIP} }} }} }}"
    seen: Any = one.look(memberships)["artifactMemberships"]
    collections = [edge["node"]["artifactCollection"] for edge in seen["edges"]]
    assert collections == [
        {"__typename": "ArtifactSequence", "name": one.name},
        {"__typename": "ArtifactPortfolio", "name": "links"},
    ]


def test_aliases_are_given_and_taken_in_the_collection_that_is_named(api: Api) -> None:
    (one,) = versions(api, 1)
    portfolio = fresh_name("links")
    link(api, one, portfolio)
    wish = {"entityName": "me", "projectName": "proj1", "artifactCollectionName": portfolio, "alias": "best"}
    api.mutate("addAliases", "success", artifactID=one.id, aliases=[wish])
    assert member(api, f"{portfolio}:best") == (one.id, 0, ["latest", "best", "v0"])
    assert member(api, f"{one.name}:best") is None
    api.mutate("updateArtifact", "artifact { id }", artifactID=one.id, aliases=[])
    assert member(api, one.name) is None
    api.mutate("deleteAliases", "success", artifactID=one.id, aliases=[wish])
    assert member(api, portfolio) == (one.id, 0, ["latest", "v0"])


def test_what_is_unlinked_stays_and_its_number_is_not_given_again(api: Api) -> None:
    one, two = versions(api, 2)
    portfolio = fresh_name("links")
    link(api, one, portfolio)
    which = {"artifactID": two.id, "artifactPortfolioID": collection_id(link(api, two, portfolio, "best"))}
    assert api.mutate("unlinkArtifact", "success", **which) == {"success": True}
    assert member(api, f"{portfolio}:best") is None
    assert member(api, portfolio) == (one.id, 0, ["latest", "v0"])
    assert two.look("state") == {"state": "COMMITTED"}
    with pytest.raises(RefusedByServer, match=f"{two.name}:v1' is not linked to '{portfolio}'"):
        api.mutate("unlinkArtifact", "success", **which)
    assert link(api, two, portfolio)["versionIndex"] == 2


def test_a_version_that_is_deleted_leaves_its_portfolios(api: Api) -> None:
    one, two = versions(api, 2)
    portfolio = fresh_name("links")
    link(api, one, portfolio)
    link(api, two, portfolio, "prod")
    with pytest.raises(RefusedByServer, match=f"{two.name}:v1' has aliases in portfolios"):
        api.mutate("deleteArtifact", "artifact { id }", artifactID=two.id)
    api.mutate("deleteArtifact", "artifact { id }", artifactID=two.id, deleteAliases=True)
    assert member(api, f"{portfolio}:prod") is None
    assert member(api, portfolio) == (one.id, 0, ["latest", "v0"])


def test_a_collection_that_is_deleted_leaves_its_portfolios(api: Api) -> None:
    (one,), (other,) = versions(api, 1), versions(api, 1)
    portfolio = fresh_name("links")
    for version in (other, one):
        link(api, version, portfolio)
    found = in_project(api, "artifactCollection(name: $name) { id }", name=one.name)["artifactCollection"]
    api.mutate("deleteArtifactSequence", "artifactCollection { state }", artifactSequenceID=found["id"])
    assert member(api, portfolio) == (other.id, 0, ["latest", "v0"])


def test_a_portfolio_is_changed_and_deleted(api: Api) -> None:
    (one,) = versions(api, 1)
    which = {"artifactPortfolioID": collection_id(link(api, one, fresh_name("links")))}
    name = fresh_name("renamed")
    answer = "artifactCollection { __typename name description state }"
    changed = api.mutate("updateArtifactPortfolio", answer, **which, name=name, description="d")["artifactCollection"]
    assert changed == {"__typename": "ArtifactPortfolio", "name": name, "description": "d", "state": "READY"}
    gone = api.mutate("deleteArtifactPortfolio", answer, **which)["artifactCollection"]
    assert gone["state"] == "DELETED"
    assert in_project(api, "artifactCollection(name: $name) { id }", name=name)["artifactCollection"] is None
    assert member(api, f"{one.name}:v0") == (one.id, 0, ["latest", "v0"])


def test_the_two_kinds_of_collections_do_not_mix(api: Api) -> None:
    (one,) = versions(api, 1)
    portfolio = fresh_name("links")
    portfolio_id = collection_id(link(api, one, portfolio))
    found = in_project(api, "artifactCollection(name: $name) { id }", name=one.name)["artifactCollection"]
    with pytest.raises(RefusedByServer, match=f"'{one.name}' is an artifact, to which versions are logged"):
        link(api, one, one.name)
    with pytest.raises(RefusedByServer, match=f"'{portfolio}' is a portfolio, to which versions are linked"):
        Logging(api, {}, name=portfolio)
    with pytest.raises(RefusedByServer, match="is a portfolio, to which versions are linked"):
        api.mutate("deleteArtifactSequence", "artifactCollection { id }", artifactSequenceID=portfolio_id)
    with pytest.raises(RefusedByServer, match="is an artifact, to which versions are logged"):
        api.mutate("deleteArtifactPortfolio", "artifactCollection { id }", artifactPortfolioID=found["id"])
    with pytest.raises(RefusedByServer, match="To delete a version with wandb 0"):
        api.mutate("unlinkArtifact", "success", artifactID=one.id, artifactPortfolioID=found["id"])


def test_what_cannot_be_linked_is_refused_with_a_sentence(api: Api) -> None:
    (one,) = versions(api, 1)
    portfolio = fresh_name("links")
    link(api, one, portfolio)
    with pytest.raises(RefusedByServer, match="has no registries of organizations"):
        link(api, one, "models", project="wandb-registry-model")
    with pytest.raises(RefusedByServer, match="is of type 'code', not 'dataset'"):
        link(api, Logging(api, {"a": b"a"}, artifactTypeName="dataset").log(), portfolio)
    with pytest.raises(RefusedByServer, match="is PENDING, so it cannot be linked"):
        link(api, Logging(api, {}), portfolio)
    with pytest.raises(RefusedByServer, match="'v7' is no alias"):
        link(api, one, portfolio, "v7")
    with pytest.raises(RefusedByServer, match="'a/b' is no name"):
        link(api, one, "a/b")


def test_a_link_shares_nothing_with_those_who_may_not_see_the_version(accounts: Accounts) -> None:
    owner, both = accounts.user()
    source, target = accounts.team(owner), accounts.team(owner)
    _, stranger = accounts.member(target, "MEMBER")
    _, looking = accounts.member(source, "VIEWER")
    logged = Logging(both, {"a": b"a"}, entityName=source).log()
    link(both, logged, "links", entity=target)
    query = """query($e: String!) { project(name: "proj1", entityName: $e) { artifact(name: "links:v0") { id }
        artifactCollectionMembership(name: "links:latest") { id } artifactCollection(name: "links") {
        name latestArtifact { id } artifacts { totalCount edges { node { id } } } } } }"""
    assert both.run(query, {"e": target})["project"]["artifact"] == {"id": logged.id}
    assert stranger.run(query, {"e": target})["project"] == {
        "artifact": None,
        "artifactCollectionMembership": None,
        "artifactCollection": {"name": "links", "latestArtifact": None, "artifacts": {"totalCount": 0, "edges": []}},
    }
    seen = "query($id: ID!) { artifact(id: $id) { artifactMemberships { totalCount } aliases { alias } } }"
    assert looking.run(seen, {"id": logged.id})["artifact"] == {
        "artifactMemberships": {"totalCount": 1},
        "aliases": [{"alias": "latest"}, {"alias": "v0"}],
    }
    with pytest.raises(RefusedByServer, match="no artifact with the id"):
        link(stranger, logged, "mine", entity=target)
    with pytest.raises(RefusedByServer, match="is too low for this: it takes a member"):
        link(looking, logged, "mine", entity=source)
