"""The HTTP side of GraphQL: the envelope, errors and their statuses, keys, limits."""

import json
import socket
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.server import Api, RefusedByServer, RunningServer

SELF = "{ viewer { entity } }"


def _messages(response: requests.Response) -> list[str]:
    return [error["message"] for error in response.json()["errors"]]


@pytest.mark.parametrize(
    "more",
    [
        {"operationName": ""},
        {"operationName": None, "variables": None},
        {"variables": {"usedAs": None, "nobody": {"declared": "this"}}},
        {"extensions": {}},
    ],
)
def test_the_envelope_is_read_with_tolerance(api: Api, more: dict[str, object]) -> None:
    answer = api.post({"query": SELF, **more})
    assert (answer.status_code, answer.json()) == (200, {"data": {"viewer": {"entity": "me"}}})


def test_an_operation_can_be_chosen_by_name(api: Api) -> None:
    both = "query A { viewer { id } } query B { viewer { entity } }"
    assert api.post({"query": both, "operationName": "B"}).json() == {"data": {"viewer": {"entity": "me"}}}
    assert api.post({"query": both, "operationName": "C"}).status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"[]", b"7", b'{"query": 1}', b'{"query": "{"}', b"\xff\xfe", b"[" * 50_000, b'{"a": 1}']
)
def test_garbage_is_answered_400_with_one_sentence(server: RunningServer, body: bytes) -> None:
    response = requests.post(f"{server.url}/graphql", body, auth=("api", server.key), timeout=10)
    assert response.status_code == 400
    assert len(_messages(response)) == 1


@pytest.mark.parametrize("auth", [None, ("api", ""), ("api", "x" * 40), ("", "")])
def test_a_wrong_key_is_answered_401(server: RunningServer, auth: tuple[str, str] | None) -> None:
    session = requests.Session()
    session.trust_env = False
    with session:
        response = session.post(f"{server.url}/graphql", json={"query": SELF}, auth=auth, timeout=10)
    assert response.status_code == 401
    assert "API key" in _messages(response)[0]
    assert response.headers["WWW-Authenticate"].startswith("Basic")


@pytest.mark.parametrize("header", ["Bearer abc", "Basic", "Basic !!!", "Basic YWJj", "basic \u00ff"])
def test_an_odd_authorization_header_is_answered_401(server: RunningServer, header: str) -> None:
    response = requests.post(
        f"{server.url}/graphql", json={"query": SELF}, headers={"Authorization": header.encode("latin-1")}, timeout=10
    )
    assert response.status_code == 401


def test_an_unknown_field_is_named_in_the_words_that_clients_search_for(api: Api) -> None:
    with pytest.raises(RefusedByServer) as refused:
        api.run("{ viewer { shoeSize } }")
    assert refused.value.status == 400
    assert refused.value.messages[0].startswith("Cannot query field 'shoeSize' on type 'User'")


@pytest.mark.parametrize(
    "name",
    [
        *("Query", "Mutation", "ServerInfo", "ServerSettings", "LaunchAgent", "Artifact", "Organization", "Project"),
        *("Run", "CreateRunQueueInput", "PushToRunQueueInput", "UseArtifactInput", "CreateArtifactFileSpecInput"),
        *("CreateArtifactInput", "CreateLaunchAgentInput", "FailRunQueueItemInput", "AddAliasesInput"),
        "DeleteFilesInput",
    ],
)
def test_each_type_that_clients_look_into_has_fields(api: Api, name: str) -> None:
    """Version 0.20 asks for them by name, and fails where one of them is null."""
    told = api.run("query($n: String!) { __type(name: $n) { fields { name } inputFields { name } } }", {"n": name})
    assert told["__type"]["inputFields" if name.endswith("Input") else "fields"]


def test_a_variable_of_the_wrong_type_is_answered_400(api: Api) -> None:
    with pytest.raises(RefusedByServer) as refused:
        api.run("query($id: ID!) { launchRunQueueItem(id: $id) { id } }", {"id": {"not": "an id"}})
    assert refused.value.status == 400


@pytest.mark.parametrize("number", ["9" * 10, "9" * 30, "9" * 5000])
def test_a_number_that_no_row_can_have_finds_nothing(api: Api, number: str) -> None:
    asked = 'query($id: ID!) { entity(name: "me") { defaultResourceConfig(id: $id) { resource } } }'
    assert api.run(asked, {"id": number}) == {"entity": {"defaultResourceConfig": None}}
    listed = 'query($after: String) { models(entityName: "me", after: $after) { edges { cursor } } }'
    assert api.run(listed, {"after": number})["models"] is not None


def test_a_query_that_is_too_deep_is_refused(api: Api) -> None:
    nested = "viewer { id }"
    for _ in range(30):
        nested = f"... on Query {{ {nested} }}"
    assert api.run(f"{{ {nested} }}")["viewer"]["id"] == "1", "fragments alone are not depth"
    deep = "artifactSequence { latestArtifact { id " * 20 + "} }" * 20
    with pytest.raises(RefusedByServer, match="levels deep"):
        api.run(f'{{ artifact(id: "QXJ0aWZhY3Q6MQ==") {{ {deep} }} }}')


def test_a_small_document_that_would_explode_is_refused(api: Api) -> None:
    """Each fragment spreads the next one twice: 2^15 fields from a kilobyte."""
    fragments = [f"fragment F{n} on User {{ a{n}: __typename ...F{n + 1} b: entity ...F{n + 1} }}" for n in range(15)]
    fragments.append("fragment F15 on User { id }")
    with pytest.raises(RefusedByServer, match="fields; at most"):
        api.run("{ viewer { ...F0 } }" + " ".join(fragments))


def test_a_body_above_ten_mebibytes_is_refused_and_one_of_five_is_not(api: Api) -> None:
    for size, status in ((5, 200), (11, 400)):
        response = api.post({"query": SELF, "variables": {"x": "y" * size * 1024 * 1024}})
        assert response.status_code == status
    assert "bigger than 10485760 bytes" in _messages(response)[0]


def test_a_body_without_a_length_is_cut_at_the_limit(server: RunningServer) -> None:
    chunks = (b"x" * 1024 * 1024 for _ in range(12))
    try:
        response = requests.post(f"{server.url}/graphql", chunks, auth=("api", server.key), timeout=20)
    except requests.ConnectionError:
        # The server may close the connection during the upload.
        return
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/graphql", 405),
        ("PUT", "/storage/upload/1-99999999999-" + "0" * 64, 403),
        ("GET", "/storage/download/%2e%2e%2f%2e%2e%2fadmin.key", 404),
        ("GET", "/storage/download/..%5cadmin.key", 403),
        ("GET", "/storage/../admin.key", 404),
    ],
)
def test_other_addresses(server: RunningServer, method: str, path: str, status: int) -> None:
    prepared = requests.Request(method, server.url).prepare()
    prepared.url = f"{server.url}{path}"
    with requests.Session() as session:
        response = session.send(prepared, timeout=10)
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json"


def test_a_request_that_is_cut_off_does_no_harm(server: RunningServer, api: Api) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert api.run(SELF) == {"viewer": {"entity": "me"}}


def test_a_bug_shows_no_traceback(api: Api) -> None:
    response = api.post({"query": '{ artifact(id: "not an id") { id } }'})
    assert response.status_code == 400
    assert "Traceback" not in response.text
    assert "is not an id of kind Artifact" in _messages(response)[0]


def test_names_that_could_be_paths_are_refused(api: Api) -> None:
    for name in ("", "a/b", "..%2f", "x" * 65, "a\nb"):
        with pytest.raises(RefusedByServer) as refused:
            api.create_queue(name)
        assert refused.value.status == 400


def test_another_entity_is_as_good_as_missing(api: Api) -> None:
    assert api.run('{ entity(name: "stranger") { id } }') == {"entity": None}
    with pytest.raises(RefusedByServer, match="404: There is no entity 'stranger'"):
        api.create_queue("q", entity="stranger")


def test_the_key_is_kept_hashed_and_its_file_is_private(server: RunningServer) -> None:
    key = server.key
    assert len(key) == 40
    assert key.isalnum()
    assert key == key.lower()
    assert (server.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600
    for file in server.data_dir.glob("server.sqlite*"):
        assert key.encode() not in file.read_bytes()
    assert json.dumps(key) not in server.log
