"""Signed links in the hands of readers, of members who have left, and of those who know two contents with one MD5."""

import base64
from typing import Any

import pytest
import requests

from tests.support.accounts import Accounts
from tests.support.artifacts import Logging, content, downloaded, md5_of
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, fresh_name

pytestmark = pytest.mark.dialect

#: Two contents with one MD5, found by X. Wang and others (2004): they differ in the highest bit of six bytes.
ONE = base64.b64decode(
    "0THdAsXm7sRpPZoGmK/5XC/KtYcSRn6rQARYPrj7f4lVrTQGCfSzAoPkiIMlcUFaCFEl6PfNyZ/ZHb3ygDc8W9iCPjFWNI9brm2s1DbJGcbdU+K0"
    "h9oD/QI5YwbSSM2g6Z8zQg9XfujOVLZwgKgNHsaYIby2qIOTlvllK2/3KnA="
)
OTHER = bytes(byte ^ 0x80 if place in (19, 45, 59, 83, 109, 123) else byte for place, byte in enumerate(ONE))

FILES = "files { edges { node { name directUrl uploadUrl read: url write: url(upload: true) } } }"


def two_contents() -> tuple[bytes, bytes]:
    """Two contents with one MD5 that no other test has."""
    tail = fresh_name("tail").encode()
    return ONE + tail, OTHER + tail


def leave(accounts: Accounts, team: str, name: str) -> None:
    """End somebody's membership."""
    find = "query($e: String) { entity(name: $e) { members { id username } } }"
    members = accounts.admin.run(find, {"e": team})["entity"]["members"]
    (found,) = (member["id"] for member in members if member["username"] == name)
    accounts.admin.mutate("deleteInvite", "success", entityName=team, id=found)


@pytest.fixture
def team(accounts: Accounts) -> str:
    return accounts.team("me")


def run_in(api: Api, team: str) -> str:
    name = fresh_name("run")
    api.mutate("upsertBucket", "inserted", name=name, modelName="proj", entityName=team)
    return name


def announce(api: Api, team: str, run: str) -> str:
    """A link to upload a file of the run."""
    where = {"entityName": team, "projectName": "proj", "runName": run}
    made = api.mutate("createRunFiles", "files { uploadUrl }", **where, files=["a.txt"])
    return str(made["files"][0]["uploadUrl"])


def put(url: str, data: bytes) -> int:
    return requests.put(url, data, timeout=20).status_code


def test_who_may_only_look_is_given_no_link_to_write(accounts: Accounts, team: str) -> None:
    member, reader = accounts.member(team, "MEMBER")[1], accounts.member(team, "VIEWER")[1]
    run = run_in(member, team)
    assert put(announce(member, team, run), b"content") == 200
    pending = Logging(member, {"a": content()}, entityName=team)
    pending.announce()

    in_run = f'project(name: "proj", entityName: "{team}") {{ run(name: "{run}") {{ {FILES} }} }}'
    queries = (f"{{ {in_run} }}", f'{{ artifact(id: "{pending.id}") {{ {FILES} }} }}')
    for key in (reader, member):
        nodes = [node for query in queries for node in _nodes(key.run(query))]
        assert len(nodes) == 2
        assert [node["uploadUrl"] or node["write"] for node in nodes] == [None, None]
        assert requests.get(nodes[0]["directUrl"], timeout=20).content == b"content"
    with pytest.raises(RefusedByServer, match="403"):
        announce(reader, team, run)


def _nodes(found: Any) -> list[Any]:
    """Every `node` in an answer."""
    if not isinstance(found, dict | list):
        return []
    inner = found.items() if isinstance(found, dict) else enumerate(found)
    return [node for key, value in inner for node in ([value] if key == "node" else _nodes(value))]


def test_links_end_with_the_membership_of_who_got_them(accounts: Accounts, team: str) -> None:
    name, api = accounts.member(team, "MEMBER")
    run = run_in(api, team)
    of_run, logged = announce(api, team, run), Logging(api, {"a": content()}, entityName=team)
    of_artifact = str(logged.announce()[0]["uploadUrl"])
    assert put(of_run, b"content") == 200
    query = f'{{ project(name: "proj", entityName: "{team}") {{ run(name: "{run}") {{ {FILES} }} }} }}'
    (node,) = _nodes(api.run(query))

    leave(accounts, team, name)
    assert put(of_run, b"evil") == 404
    assert put(of_artifact, logged.files["a"]) == 404
    assert requests.get(node["directUrl"], timeout=20).status_code == 404


def test_a_member_who_becomes_a_viewer_writes_by_no_link_any_more(accounts: Accounts, team: str) -> None:
    name, api = accounts.member(team, "MEMBER")
    link = announce(api, team, run_in(api, team))
    accounts.admin.mutate("createInvite", "invite { id }", entityName=team, username=name, role="VIEWER")
    assert put(link, b"evil") == 404


def test_links_end_with_the_key_by_which_they_were_had(accounts: Accounts, team: str) -> None:
    _, member = accounts.member(team, "MEMBER")
    made = member.mutate("generateApiKey", "key apiKey { id }", description="leaked")
    api = accounts.with_key(made["key"])
    leaked, other = announce(api, team, run_in(api, team)), announce(member, team, run_in(member, team))
    assert put(leaked, b"content") == 200

    member.mutate("deleteApiKey", "success", id=made["apiKey"]["id"])

    assert put(leaked, b"evil") == 404
    assert put(other, b"content") == 200


def test_a_link_is_the_link_of_who_got_it(api: Api) -> None:
    """Whoever puts another user's number into it has signed nothing."""
    link = ClientRun(api).announce("a")[0]["uploadUrl"]
    head, token = link.rsplit("/", 1)
    numbers = token.split("-")
    for place in (1, 2, 3, 4):
        other = [*numbers[:place], str(int(numbers[place]) + 1), *numbers[place + 1 :]]
        assert put(f"{head}/{'-'.join(other)}", b"evil") == 403


def test_the_content_of_a_committed_artifact_cannot_be_exchanged(api: Api) -> None:
    good, evil = two_contents()
    assert md5_of(good) == md5_of(evil)
    logged = Logging(api, {"model": good})
    link = str(logged.announce()[0]["uploadUrl"])
    logged.log()

    assert put(link, evil) == 404
    assert downloaded(logged) == {"model": good}
    assert put(link, good) == 200, "an upload whose response was lost may be repeated"


def test_a_content_that_has_arrived_is_replaced_by_no_other_one(api: Api) -> None:
    good, evil = two_contents()
    logged = Logging(api, {"model": good})
    link = str(logged.announce()[0]["uploadUrl"])
    assert (put(link, good), put(link, evil)) == (200, 404)
    logged.manifest()
    logged.commit()
    assert downloaded(logged) == {"model": good}


def test_what_another_user_has_uploaded_does_not_stand_for_an_upload(accounts: Accounts, team: str) -> None:
    good, evil = two_contents()
    mallory, victim = (accounts.member(team, "MEMBER")[1] for _ in range(2))
    name = fresh_name("model")
    Logging(mallory, {"model": evil}, entityName=team, name=name).log()

    logged = Logging(victim, {"model": good}, entityName=team, name=name).log()
    assert downloaded(logged) == {"model": good}
    again = Logging(victim, {"again": good}, entityName=team)
    assert again.announce()[0]["uploadUrl"] is None, "their own upload does"


def test_no_version_of_another_user_stands_for_one_by_the_digest_that_they_claimed(
    accounts: Accounts, team: str
) -> None:
    mallory, victim = (accounts.member(team, "MEMBER")[1] for _ in range(2))
    same = {"entityName": team, "name": fresh_name("model"), "digest": fresh_name("digest")}
    same |= {"enableDigestDeduplication": True}
    Logging(mallory, {"model": content()}, **same).log()
    logged = Logging(victim, {"model": content()}, **same)
    assert logged.made["state"] == "PENDING"
    logged.log()
    assert downloaded(logged) == logged.files
    assert Logging(victim, logged.files, **same).id == logged.id, "their own does"


def test_an_md5_with_two_contents_stands_for_none_of_them(accounts: Accounts, team: str) -> None:
    """A client that commits a file which it did not announce has no content of its own: a draft's unchanged files."""
    good, evil = two_contents()
    mallory, victim = (accounts.member(team, "MEMBER")[1] for _ in range(2))
    name = fresh_name("model")
    Logging(victim, {"a": good}, entityName=team, name=name).log()
    Logging(mallory, {"a": evil}, entityName=team).log()

    draft = Logging(victim, {"b": good}, entityName=team, name=name)
    draft.manifest()
    draft.commit()
    assert downloaded(draft) == {"b": good}, "what the artifact's own versions have comes first"
    elsewhere = Logging(victim, {"c": good}, entityName=team)
    elsewhere.manifest()
    with pytest.raises(RefusedByServer, match="has not been uploaded"):
        elsewhere.commit()


def test_by_its_digest_no_other_file_is_downloaded(api: Api) -> None:
    good, evil = two_contents()
    logged = Logging(api, {"good": good, "evil": evil})
    for node, data in zip(logged.announce(), (good, evil), strict=True):
        assert put(str(node["uploadUrl"]), data) == 200
    logged.manifest()
    logged.commit()
    md5 = base64.b64decode(md5_of(good)).hex()
    where = f"{api.url}/artifactsV2/default/me/proj1/{logged.name}/{logged.id}/{md5}"
    found = {name: requests.get(f"{where}/{name}", auth=("api", api.key), timeout=20) for name in ("good", "evil", "x")}
    assert {name: answer.content for name, answer in found.items() if answer.ok} == {"good": good, "evil": evil}
    assert found["x"].status_code == 404
