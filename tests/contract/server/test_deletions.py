"""Deleting users, service accounts and teams: who may, what stands in the way, and what is left."""

from contextlib import closing
from pathlib import Path

import pytest
import requests

from launchd.client.artifacts import upload_directory
from launchd.client.queue_server import QueueServer
from tests.support.accounts import Accounts, make_accounts
from tests.support.artifacts import content, files_of
from tests.support.server import Api, RefusedByServer, fresh_name, running_server
from tests.support.waiting import wait_until

GONE = "keys queues serviceAccounts"


def refusal(api: Api, field: str, **values: object) -> RefusedByServer:
    with pytest.raises(RefusedByServer) as caught:
        api.mutate(field, GONE, **values)
    return caught.value


def delete_user(accounts: Accounts, name: str) -> dict[str, int]:
    gone: dict[str, int] = accounts.admin.mutate("deleteUser", GONE, username=name)
    return gone


def users_of(api: Api, text: str) -> list[str]:
    query = "query($q: String) { users(query: $q) { edges { node { username } } } }"
    return [edge["node"]["username"] for edge in api.run(query, {"q": text})["users"]["edges"]]


def events_of(api: Api, name: str) -> list[str]:
    query = "query($q: String) { users(query: $q) { edges { node { username accountEvents { sentence } } } } }"
    found = [edge["node"] for edge in api.run(query, {"q": name})["users"]["edges"]]
    return [event["sentence"] for user in found if user["username"] == name for event in user["accountEvents"]]


# -- users


def test_a_deleted_user_has_no_access_and_keeps_the_name(accounts: Accounts) -> None:
    name, api = accounts.user()
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    as_boss.mutate("createInvite", "invite { id }", entityName=team, username=name, role="MEMBER")
    api.create_queue("q", entity=name)
    run = api.mutate("upsertBucket", "bucket { id name }", name="r1", modelName="p", entityName=team)["bucket"]
    api.mutate("updateRunState", "success", id=run["id"], state="failed")

    assert delete_user(accounts, name) == {"keys": 1, "queues": 1, "serviceAccounts": 0}

    with pytest.raises(RefusedByServer) as caught:
        api.run("{ viewer { username } }")
    assert caught.value.status == 401
    assert users_of(accounts.admin, name) == []
    members = as_boss.run("query($e: String) { entity(name: $e) { members { username } } }", {"e": team})
    assert [member["username"] for member in members["entity"]["members"]] == [boss]
    author = as_boss.run(
        'query($e: String) { project(name: "p", entityName: $e) { run(name: "r1") { user { username } } } }',
        {"e": team},
    )
    assert author["project"]["run"]["user"]["username"] == name, "what was done in teams stays, in this name"
    assert "is taken by" in str(refusal_of_new_user(accounts, name))
    assert "There is no user" in str(refusal(accounts.admin, "deleteUser", username=name))
    assert f"Deleted user {name}, with 1 API keys." in events_of(accounts.admin, "me")


def refusal_of_new_user(accounts: Accounts, name: str) -> RefusedByServer:
    with pytest.raises(RefusedByServer) as caught:
        accounts.admin.mutate("createUser", "key", email="a@example.org", username=name, admin=False)
    return caught.value


def test_who_may_delete_a_user(accounts: Accounts) -> None:
    name, api = accounts.user()
    other, _ = accounts.user()
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    robot, _ = accounts.service_account(team)

    assert refusal(api, "deleteUser", username=other).status == 403
    assert refusal(api, "deleteUser", username=name).status == 403
    assert "Another administrator" in str(refusal(accounts.admin, "deleteUser", username="me"))
    assert "`launchd service-account delete` deletes it" in str(refusal(accounts.admin, "deleteUser", username=robot))
    assert f"{boss!r} is the only admin of team {team!r}" in str(refusal(accounts.admin, "deleteUser", username=boss))
    assert users_of(as_boss, boss) == [boss], "nothing of it was done"


def test_a_user_stays_while_something_of_theirs_lives(accounts: Accounts) -> None:
    name, api = accounts.user()
    queue = api.create_queue("q", entity=name)
    agent = api.create_agent(queue, entity=name)
    item = api.push("q", {"entity": name, "project": "p"}, entity=name)
    run = api.mutate("upsertBucket", "bucket { id }", name="r1", modelName="proj", entityName=name)["bucket"]

    refused = refusal(accounts.admin, "deleteUser", username=name)

    assert str(refused).removeprefix("400: ") == (
        f"User {name!r} cannot be deleted yet: 1 item that was pushed in this name has not ended;"
        " 1 agent with a key of this account is living; 1 run in this name is running;"
        " 1 item in the queues has not ended; 1 agent serves the queues; 1 run is running."
    )
    api.mutate("stopRunQueueItem", "success", runQueueItemId=item)
    api.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="KILLED")
    still = str(refusal(accounts.admin, "deleteUser", username=name))
    assert still.endswith("cannot be deleted yet: 1 run in this name is running; 1 run is running.")
    api.mutate("updateRunState", "success", id=run["id"], state="failed")
    assert delete_user(accounts, name) == {"keys": 1, "queues": 1, "serviceAccounts": 0}


def test_an_item_in_the_queue_of_a_team_keeps_its_submitter(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    name, api = accounts.member(team, "MEMBER")
    as_boss.create_queue("q", entity=team)
    item = api.push("q", {"entity": team, "project": "p"}, entity=team)

    assert "1 item that was pushed in this name has not ended." in (
        str(refusal(accounts.admin, "deleteUser", username=name))
    )
    as_boss.mutate("stopRunQueueItem", "success", runQueueItemId=item)
    assert delete_user(accounts, name)["keys"] == 1


# -- teams


def test_a_deleted_team_is_gone_with_its_service_accounts_and_its_members_stay(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    name, api = accounts.member(team, "MEMBER")
    _, key = accounts.service_account(team)
    as_boss.create_queue("q", entity=team)

    assert refusal(api, "deleteTeam", teamName=team).status == 403
    assert refusal(accounts.user()[1], "deleteTeam", teamName=team).status == 404
    assert "is the entity of a user, not a team" in str(refusal(as_boss, "deleteTeam", teamName=boss))
    gone = as_boss.mutate("deleteTeam", GONE, teamName=team)

    assert gone == {"keys": 1, "queues": 1, "serviceAccounts": 1}
    with pytest.raises(RefusedByServer, match="401"):
        accounts.with_key(key).run("{ viewer { username } }")
    assert api.run("query($e: String) { entity(name: $e) { name } }", {"e": team})["entity"] is None
    assert f"Deleted team {team}, with 1 service accounts." in events_of(api, name)
    assert "There is no entity" in str(refusal(accounts.admin, "deleteTeam", teamName=team))


def upload(api: Api, entity: str, directory: Path) -> str:
    """Log an artifact in project `p`; returns its id."""
    directory.mkdir()
    (directory / "main.py").write_bytes(content())
    with closing(QueueServer(api.url, api.key)) as client:
        return upload_directory(client, entity, "p", fresh_name("code"), directory)


def test_a_team_stays_while_its_versions_are_in_portfolios_of_others(accounts: Accounts, tmp_path: Path) -> None:
    boss, as_boss = accounts.user()
    team = accounts.team(boss)
    artifact = upload(as_boss, team, tmp_path / "code")
    as_boss.mutate("upsertModel", "model { id }", entityName=boss, name="p")
    portfolio = {"entityName": boss, "projectName": "p", "artifactPortfolioName": "links"}
    as_boss.mutate("linkArtifact", "versionIndex", artifactID=artifact, aliases=[], **portfolio)

    refused = str(refusal(as_boss, "deleteTeam", teamName=team))

    assert "1 version of an artifact is linked to portfolios of others." in refused


def test_what_a_deleted_team_had_is_removed(store: object, tmp_path: Path) -> None:  # noqa: ARG001
    with running_server(tmp_path, "--gc-pause-seconds", "0") as server, make_accounts(server) as accounts:
        boss, as_boss = accounts.user()
        team = accounts.team(boss)
        kept = upload(as_boss, boss, tmp_path / "kept")
        before = files_of(server)
        upload(as_boss, team, tmp_path / "code")
        run = as_boss.mutate("upsertBucket", "bucket { id }", name="r", modelName="p", entityName=team)["bucket"]
        history = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"a": 1}']}}, "complete": True}
        stream = f"{server.url}/files/{team}/p/r/file_stream"
        answer = requests.post(stream, json=history | {"exitcode": 0}, auth=("api", as_boss.key), timeout=20)
        assert (answer.status_code, bool(run)) == (200, True)
        assert len(files_of(server)) > len(before)

        accounts.admin.mutate("deleteTeam", GONE, teamName=team)

        wait_until(lambda: files_of(server) == before, what="its files are gone")
        assert as_boss.run("query($id: ID!) { artifact(id: $id) { state } }", {"id": kept})["artifact"] == {
            "state": "COMMITTED"
        }


# -- service accounts


def test_a_service_account_is_deleted_by_the_admin_of_its_team(accounts: Accounts) -> None:
    boss, as_boss = accounts.user()
    team, other = accounts.team(boss), accounts.team(boss)
    robot, key = accounts.service_account(team)
    stranger, as_stranger = accounts.user()
    queue = as_boss.create_queue("q", entity=team)
    as_robot = accounts.with_key(key)
    agent = as_robot.create_agent(queue, entity=team)
    item = as_robot.push("q", {"entity": team, "project": "p"}, entity=team)

    assert refusal(as_stranger, "deleteServiceAccount", entityName=team, username=robot).status == 404
    for wrong in ({"entityName": other, "username": robot}, {"entityName": team, "username": stranger}):
        assert "has no service account" in str(refusal(as_boss, "deleteServiceAccount", **wrong))
    living = str(refusal(as_boss, "deleteServiceAccount", entityName=team, username=robot))
    assert "1 item that was pushed in this name has not ended; " in living
    as_robot.mutate("stopRunQueueItem", "success", runQueueItemId=item)
    living = str(refusal(as_boss, "deleteServiceAccount", entityName=team, username=robot))
    assert "cannot be deleted yet: 1 agent with a key of this account is living." in living
    as_robot.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="KILLED")
    gone = as_boss.mutate("deleteServiceAccount", GONE, entityName=team, username=robot)

    assert gone == {"keys": 1, "queues": 0, "serviceAccounts": 0}
    with pytest.raises(RefusedByServer, match="401"):
        as_robot.run("{ viewer { username } }")
    assert as_boss.state(item) == "STOPPED", "what it did stays"
