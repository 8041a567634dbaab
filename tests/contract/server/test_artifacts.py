"""Logging an artifact as W&B's clients do it, and getting it back byte for byte."""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.artifacts import Logging, captured, md5_of
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until


def test_a_directory_comes_back_byte_for_byte(api: Api) -> None:
    files = {"main.py": b"print(1)\n", "empty": b"", "data/deep/x.bin": bytes(range(256)) * 20_000}
    logged = Logging(api, files).log()
    query = """query($id: ID!, $after: String) { artifact(id: $id) { state size fileCount versionIndex
        files(first: 2, after: $after) { edges { node { name directUrl digest sizeBytes } }
        pageInfo { endCursor hasNextPage } } currentManifest { file { directUrl } } } }"""
    got: dict[str, bytes] = {}
    after = None
    while True:
        found = api.run(query, {"id": logged.id, "after": after})["artifact"]
        for edge in found["files"]["edges"]:
            node = edge["node"]
            got[node["name"]] = requests.get(node["directUrl"], timeout=20).content
            assert (node["digest"], node["sizeBytes"]) == (md5_of(files[node["name"]]), len(files[node["name"]]))
        after = found["files"]["pageInfo"]["endCursor"]
        if not found["files"]["pageInfo"]["hasNextPage"]:
            break
    assert got == files
    assert (found["state"], found["fileCount"], found["versionIndex"]) == ("COMMITTED", 3, 0)
    assert found["size"] == sum(map(len, files.values()))
    manifest = requests.get(found["currentManifest"]["file"]["directUrl"], timeout=20).json()
    assert set(manifest["contents"]) == set(files)


def test_links_are_absolute_and_need_no_key(api: Api, server: RunningServer) -> None:
    logged = Logging(api, {"a": fresh_name("content").encode()})
    url = str(logged.announce()[0]["uploadUrl"])
    assert url.startswith(f"{server.url}/storage/upload/")


def test_part_of_a_file_can_be_asked_for(api: Api) -> None:
    logged = Logging(api, {"a": b"0123456789"}).log()
    files = logged.look("files { edges { node { directUrl } } }")["files"]
    url = files["edges"][0]["node"]["directUrl"]  # type: ignore[index]
    part = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"234")


def test_what_is_stored_already_is_not_uploaded_again(api: Api) -> None:
    content = fresh_name("content").encode()
    Logging(api, {"a": content}).log()
    again = Logging(api, {"b": content})
    assert again.announce()[0]["uploadUrl"] is None
    again.manifest()
    assert again.commit()["id"] == again.id


def _stored(server: RunningServer) -> set[Path]:
    return {path for path in (server.data_dir / "files").rglob("*") if path.is_file()}


@pytest.mark.parametrize("sent", [b"other content", b"right content and more", b"right", b""])
def test_another_content_than_promised_is_refused_and_leaves_nothing(
    api: Api, server: RunningServer, sent: bytes
) -> None:
    logged = Logging(api, {"a": b"right content"})
    before = _stored(server)
    url = str(logged.announce()[0]["uploadUrl"])
    response = requests.put(url, sent, timeout=10)
    assert response.status_code == 400
    assert "does not match its digest" in response.json()["errors"][0]["message"]
    assert _stored(server) == before
    logged.manifest()
    with pytest.raises(RefusedByServer, match="has not been uploaded"):
        logged.commit()


def test_an_upload_that_is_cut_off_leaves_nothing(api: Api, server: RunningServer) -> None:
    content = b"z" * 3_000_000
    logged = Logging(api, {"a": content})
    before = _stored(server)
    url = urlsplit(str(logged.announce()[0]["uploadUrl"]))
    connection = http.client.HTTPConnection(str(url.hostname), url.port)
    connection.putrequest("PUT", url.path)
    connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content[:2_000_000])
    wait_until(lambda: _stored(server) != before, what="the first bytes")
    connection.close()
    wait_until(lambda: _stored(server) == before, what="the removal of half a file")


def test_a_link_works_for_its_own_file_and_action_only(api: Api, server: RunningServer) -> None:
    logged = Logging(api, {name: fresh_name(name).encode() for name in ("a", "b")})
    one, two = (str(node["uploadUrl"]) for node in logged.announce())
    start, signature = one.rsplit("-", 1)
    forged = [
        f"{two.rsplit('-', 1)[0]}-{signature}",
        one.replace("/upload/", "/download/"),
        f"{start}-{'0' * 64}",
        f"{server.url}/storage/upload/1",
    ]
    for url in forged:
        answer = requests.get(url, timeout=10) if "/download/" in url else requests.put(url, b"a", timeout=10)
        assert answer.status_code == 403, url


def test_a_link_ends(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        url = str(Logging(api, {"a": b"a"}).announce()[0]["uploadUrl"])
        head, token = url.rsplit("/", 1)
        whose, ends_at, signature = token.rsplit("-", 2)
        earlier = f"{head}/{whose}-{int(ends_at) - 10**6}-{signature}"
        assert requests.put(earlier, b"a", timeout=10).status_code == 403
        server.restart()
        assert requests.put(url, b"a", timeout=10).status_code == 200, "links outlive the server's process"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a//b", "", "..\\x", "a/.", "x" * 1025])
def test_a_name_that_leads_out_of_the_directory_is_refused(api: Api, name: str) -> None:
    with pytest.raises(RefusedByServer, match="is no name for a file"):
        Logging(api, {name: b"a"}).announce()
    logged = Logging(api, {})
    logged.manifest({name: {"digest": md5_of(b"a"), "size": 1}})
    with pytest.raises(RefusedByServer, match="is no name for a file"):
        logged.commit()


def test_a_digest_that_is_none_is_refused(api: Api) -> None:
    logged = Logging(api, {})
    spec = {"artifactID": logged.id, "name": "a", "md5": "abc"}
    with pytest.raises(RefusedByServer, match="is no MD5"):
        api.run(captured("CreateArtifactFiles"), {"artifactFiles": [spec], "storageLayout": "V2"})


def test_a_commit_needs_a_manifest_that_tells_the_truth(api: Api) -> None:
    logged = Logging(api, {"a": b"aaa"})
    logged.upload()
    with pytest.raises(RefusedByServer, match="has no manifest yet"):
        logged.commit()
    logged.manifest({"a": {"digest": md5_of(b"aaa"), "size": 4}})
    with pytest.raises(RefusedByServer, match="has 3 bytes, but 4 according to the manifest"):
        logged.commit()
    logged.manifest({"a": 7})
    with pytest.raises(RefusedByServer, match="manifest cannot be read"):
        logged.commit()
    logged.manifest()
    assert logged.commit() == logged.commit(), "committing twice is no mistake"
    with pytest.raises(RefusedByServer, match="cannot be changed any more"):
        logged.announce()


def test_references_are_listed_with_the_files(api: Api) -> None:
    """W&B's clients download of a version what this list names, references too."""
    logged = Logging(api, {"a": b"aaa"})
    logged.upload()
    place = "s3://bucket/far away.csv"
    reference = {"digest": "an etag", "size": 40, "ref": place, "extra": {"versionID": "1"}}
    logged.manifest({"a": {"digest": md5_of(b"aaa"), "size": 3}, "far.csv": reference})
    logged.commit()
    node = "name digest sizeBytes directUrl uploadUrl"
    found: Any = logged.look(f'size fileCount files(names: ["far.csv"]) {{ edges {{ node {{ {node} }} }} }}')
    assert (found["size"], found["fileCount"]) == (43, 2)
    expected = {"name": "far.csv", "digest": "an etag", "sizeBytes": 40, "directUrl": place, "uploadUrl": None}
    assert [edge["node"] for edge in found["files"]["edges"]] == [expected]
    everything: Any = logged.look("files { edges { node { name } } }")
    assert {edge["node"]["name"] for edge in everything["files"]["edges"]} == {"a", "far.csv"}


@pytest.mark.parametrize(
    ("name", "entry", "sentence"),
    [
        ("../x", {}, "is no name for a file"),
        ("x", {"size": -1}, "has -1 bytes"),
        ("x", {"ref": "s3://" + "x" * 10_000}, "longer than any"),
        ("x", {"ref": "s3://\0"}, "NUL"),
    ],
)
def test_a_reference_that_is_none_is_refused(api: Api, name: str, entry: dict[str, object], sentence: str) -> None:
    logged = Logging(api, {})
    logged.manifest({name: {"digest": "", "ref": "s3://bucket/x", **entry}})
    with pytest.raises(RefusedByServer, match=sentence):
        logged.commit()


def test_the_same_client_id_is_the_same_artifact(api: Api) -> None:
    name = fresh_name("job")
    first = Logging(api, {}, name=name, clientID="c1", metadata='{"_partial": true}', description="d")
    alias = [{"artifactCollectionName": name, "alias": "prod"}]
    second = Logging(api, {}, name=name, clientID="c1", metadata=None, aliases=alias)
    assert second.id == first.id
    second.manifest()
    second.commit()
    found = second.look("metadata description versionIndex aliases { alias }")
    assert (found["metadata"], found["description"], found["versionIndex"]) == ('{"_partial": true}', "d", 0)
    assert {alias["alias"] for alias in found["aliases"]} == {"latest", "prod", "v0"}  # type: ignore[attr-defined]


def test_an_artifact_of_very_many_files(api: Api) -> None:
    """More than one statement of SQLite can name."""
    content = fresh_name("content").encode()
    Logging(api, {"one": content}).log()
    logged = Logging(api, {f"d{number % 100}/{number}": content for number in range(33_000)})
    logged.manifest()
    logged.commit()
    assert logged.look("fileCount size") == {"fileCount": 33_000, "size": 33_000 * len(content)}


def test_versions_count_up_and_the_alias_moves(api: Api) -> None:
    one = Logging(api, {"a": b"1"}).log()
    two = Logging(api, {"a": b"2"}, name=one.name)
    assert two.made["artifactSequence"]["latestArtifact"]["id"] == one.id
    two.log()
    same = Logging(api, {"a": b"2"}, name=one.name, enableDigestDeduplication=True)
    assert (same.id, same.made["state"]) == (two.id, "COMMITTED")
    look = "versionIndex aliases { alias artifactCollection { __typename name } }"

    def aliases(*words: str) -> list[dict[str, object]]:
        collection = {"__typename": "ArtifactSequence", "name": one.name}
        return [{"alias": word, "artifactCollection": collection} for word in words]

    assert one.look(look) == {"versionIndex": 0, "aliases": aliases("v0")}
    assert two.look(look) == {"versionIndex": 1, "aliases": aliases("latest", "v1")}
