"""Keys, users, teams, service accounts and what their roles allow."""

import re
from pathlib import Path

import pytest
import requests

from tests.support.accounts import Accounts
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

MEMBERS = "query($e: String) { entity(name: $e) { members { id username role admin accountType pending } } }"
KEYS = "{ viewer { apiKeys { edges { node { id name description role lastUsedAt } } } } }"


def keys_of(api: Api) -> list[dict[str, object]]:
    return [edge["node"] for edge in api.run(KEYS)["viewer"]["apiKeys"]["edges"]]


def roles(api: Api, team: str) -> dict[str, str]:
    return {member["username"]: member["role"] for member in api.run(MEMBERS, {"e": team})["entity"]["members"]}


def refusal(api: Api, field: str, selection: str, **values: object) -> RefusedByServer:
    with pytest.raises(RefusedByServer) as refused:
        api.mutate(field, selection, **values)
    return refused.value


def test_a_key_from_its_making_to_its_revocation(accounts: Accounts) -> None:
    _, api = accounts.user()
    made = api.mutate("generateApiKey", "apiKey { id name description role } key", description="for ci")

    assert re.fullmatch("[a-z0-9]{40}", made["key"])
    key_id = made["apiKey"].pop("id")
    assert made["apiKey"] == {"name": made["key"], "description": "for ci", "role": "MEMBER"}
    listed = next(key for key in keys_of(api) if key["id"] == key_id)
    assert (listed["name"], listed["lastUsedAt"]) == ("", None), "a key is shown once"

    other = accounts.with_key(made["key"])
    assert other.run("{ viewer { id } }") == api.run("{ viewer { id } }")
    wait_until(lambda: next(key for key in keys_of(api) if key["id"] == listed["id"])["lastUsedAt"], 5)

    assert api.mutate("deleteApiKey", "success", id=key_id) == {"success": True}
    with pytest.raises(RefusedByServer, match="not known to this queue server"):
        other.run("{ viewer { id } }")
    assert refusal(api, "deleteApiKey", "success", id=key_id).status == 404


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_no_key_is_stored_as_it_is(accounts: Accounts, server: RunningServer) -> None:
    _, api = accounts.user()
    key = api.mutate("generateApiKey", "key")["key"].encode()

    stored = [path for path in server.data_dir.iterdir() if path.name.startswith("server.sqlite")]
    assert stored
    assert not any(key in path.read_bytes() for path in stored)


def test_a_key_may_be_for_looking_alone_or_for_work_alone(accounts: Accounts) -> None:
    name, api = accounts.user()
    keys = {role: api.mutate("generateApiKey", "key", role=role)["key"] for role in ("VIEWER", "MEMBER")}
    looking, working = accounts.with_key(keys["VIEWER"]), accounts.with_key(keys["MEMBER"])

    assert looking.run("query($n: String) { entity(name: $n) { name } }", {"n": name}) == {"entity": {"name": name}}
    refused = refusal(looking, "upsertModel", "inserted", name="p", entityName=name)
    assert (refused.status, "may look, but not change" in refused.messages[0]) == (403, True)

    assert working.mutate("upsertModel", "inserted", name="p", entityName=name) == {"inserted": True}
    assert refusal(working, "generateApiKey", "key", role="ADMIN").status == 403
    assert refusal(working, "deleteApiKey", "success", id=str(keys_of(api)[0]["id"])).status == 403
    assert keys_of(working), "the owner's keys are no secret to their own"


def test_roles_in_a_team(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    viewer, as_viewer = accounts.member(team, "VIEWER")
    member, as_member = accounts.member(team, "MEMBER")
    _, as_stranger = accounts.user()
    queue = fresh_name("queue")
    as_member.create_queue(queue, entity=team)
    as_member.push(queue, entity=team)

    assert roles(as_viewer, team) == {boss: "ADMIN", member: "MEMBER", viewer: "VIEWER"}
    refused = refusal(as_viewer, "upsertModel", "inserted", name="p", entityName=team)
    assert (refused.status, "too low for this: it takes a member" in refused.messages[0]) == (403, True)
    assert refusal(as_stranger, "upsertModel", "inserted", name="p", entityName=team).status == 404
    assert as_stranger.run(MEMBERS, {"e": team}) == {"entity": None}

    invitation = {"entityName": team, "username": viewer, "role": "MEMBER"}
    assert refusal(as_member, "createInvite", "invite { id }", **invitation).status == 403
    as_boss.mutate("createInvite", "invite { id }", **invitation)
    assert as_viewer.mutate("upsertModel", "inserted", name="p", entityName=team) == {"inserted": True}


def test_a_user_who_leaves_a_team_sees_nothing_of_it_and_takes_no_more_items(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    leaving, as_leaving = accounts.member(team, "MEMBER")
    queue = fresh_name("queue")
    queue_id = as_boss.create_queue(queue, entity=team)
    agent = as_leaving.create_agent(queue_id, entity=team)
    as_boss.push(queue, entity=team)

    members = as_boss.run(MEMBERS, {"e": team})["entity"]["members"]
    member = next(found for found in members if found["username"] == leaving)
    assert as_boss.mutate("deleteInvite", "success", entityName=team, id=member["id"]) == {"success": True}

    assert as_leaving.run(MEMBERS, {"e": team}) == {"entity": None}
    with pytest.raises(RefusedByServer) as refused:
        as_leaving.claim(agent, "c1")
    assert refused.value.codes == ["UNKNOWN_AGENT"]


def test_a_team_keeps_an_admin(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    boss_id = as_boss.run("{ viewer { id } }")["viewer"]["id"]

    assert "only admin" in str(refusal(as_boss, "deleteInvite", "success", entityName=team, id=boss_id))
    demoted = refusal(as_boss, "createInvite", "invite { id }", entityName=team, username=boss, role="VIEWER")
    assert "only admin" in str(demoted)


def test_an_administrator_manages_users_but_sees_no_entity_of_others(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    as_boss.create_queue("secret", entity=team)
    admin, as_admin = accounts.user(admin=True)

    find = 'query($e: String) { project(name: "model-registry", entityName: $e) { runQueues { name } } }'
    assert as_admin.run(find, {"e": team}) == {"project": None}
    as_admin.send_header("Use-Admin-Privileges", "true")
    assert as_admin.run(find, {"e": team}) == {"project": None}

    as_admin.mutate("createInvite", "invite { id }", entityName=team, username=admin, role="VIEWER")
    assert as_admin.run(find, {"e": team}) == {"project": {"runQueues": [{"name": "secret"}]}}
    assert roles(as_boss, team)[admin] == "VIEWER", "and all members see who joined"


@pytest.mark.parametrize(
    ("field", "selection", "values"),
    [
        ("createUser", "key", {"email": "x@example.org"}),
        ("createTeam", "entity { id }", {"teamName": "mine"}),
        ("generateApiKey", "key", {"username": "me"}),
    ],
)
def test_what_takes_an_administrator(accounts: Accounts, field: str, selection: str, values: dict[str, str]) -> None:
    _, api = accounts.user()
    api.send_header("Use-Admin-Privileges", "true")
    assert refusal(api, field, selection, **values).status == 403


@pytest.mark.parametrize("name", ["", "a b", "../x", "é", "x" * 65, "-x", "me", "ME", "a\nb", "a/b"])
def test_names_that_no_account_gets(accounts: Accounts, name: str) -> None:
    boss, _ = accounts.user()
    team = accounts.team(boss)
    for field, selection, values in (
        ("createTeam", "entity { id }", {"teamName": name}),
        ("createServiceAccount", "user { id }", {"entityName": team, "description": "d", "username": name or "-"}),
        ("createUser", "key", {"email": "x@example.org", "username": name or "-"}),
    ):
        assert refusal(accounts.admin, field, selection, **values).status == 400


def test_a_user_named_by_an_email_address_alone(accounts: Accounts) -> None:
    local = fresh_name("first.last")
    address = f"{local}@example.org"
    made = [accounts.admin.mutate("createUser", "user { username }", email=address)["user"] for _ in range(2)]
    assert [found["username"] for found in made] == [local, f"{local}-2"]


def test_users_are_found_by_those_who_share_a_team(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    member, _ = accounts.member(accounts.team(boss), "MEMBER")
    stranger, as_stranger = accounts.user()
    find = "query($q: String) { users(query: $q) { edges { node { username apiKeys { edges { node { id } } } } } } }"

    found = as_boss.run(find, {"q": member.upper()})["users"]["edges"]
    assert found == [{"node": {"username": member, "apiKeys": {"edges": []}}}]
    assert as_stranger.run(find, {"q": member})["users"]["edges"] == []
    everybody = accounts.admin.run(find)["users"]["edges"]
    assert {boss, member, stranger} <= {edge["node"]["username"] for edge in everybody}
    with_keys = accounts.admin.run(find, {"q": member})["users"]["edges"][0]["node"]
    assert with_keys["apiKeys"]["edges"], "an administrator can revoke what has leaked"


def test_projects_are_listed_by_pages(accounts: Accounts) -> None:
    name, api = accounts.user()
    for project in ("one", "two", "three"):
        api.mutate("upsertModel", "inserted", name=project, entityName=name)
    pages = """query($e: String, $after: String) { models(entityName: $e, after: $after, first: 3) {
        edges { node { name entityName } cursor } pageInfo { endCursor hasNextPage } } }"""

    first = api.run(pages, {"e": name})["models"]
    second = api.run(pages, {"e": name, "after": first["pageInfo"]["endCursor"]})["models"]
    assert [edge["node"]["name"] for edge in first["edges"]] == ["model-registry", "one", "two"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert [edge["node"]["name"] for edge in second["edges"]] == ["three"]
    assert accounts.admin.run(pages, {"e": name}) == {"models": None}


def test_the_first_key_works_again_after_its_file_is_lost(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        old = server.key
        (server.data_dir / "admin.key").unlink()
        server.restart()
        assert server.key != old
        for key in (old, server.key):
            answer = requests.post(
                f"{server.url}/graphql", json={"query": "{ viewer { admin } }"}, auth=("api", key), timeout=10
            )
            assert answer.json() == {"data": {"viewer": {"admin": True}}}
