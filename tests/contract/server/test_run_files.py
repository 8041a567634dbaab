"""Files of runs: uploaded by signed links, listed, replaced, downloaded."""

import base64
import hashlib

import pytest
import requests

from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer

LIST = """fileCount files(names: %s, first: %d, after: %s, pattern: %s) {
    edges { cursor node { id name sizeBytes md5 mimetype updatedAt directUrl url } }
    pageInfo { endCursor hasNextPage } }"""


def listed(run: ClientRun, names: str = "[]", first: int = 50, after: str = "null", pattern: str = "null") -> list[str]:
    edges = run.ask(LIST % (names, first, after, pattern))["files"]["edges"]
    return [edge["node"]["name"] for edge in edges]


def test_an_uploaded_file_comes_back_byte_for_byte(api: Api) -> None:
    run, content = ClientRun(api), bytes(range(256)) * 100
    run.upload("media/images/one.png", content)
    asked = run.ask(LIST % ("[]", 50, "null", "null"))
    assert asked["fileCount"] == 1
    node = asked["files"]["edges"][0]["node"]
    md5 = base64.b64encode(hashlib.md5(content).digest()).decode()
    assert (node["sizeBytes"], node["md5"], node["mimetype"]) == (25600, md5, "image/png")
    for url in (node["directUrl"], node["url"]):
        assert url.startswith("http://")
        assert requests.get(url, timeout=20).content == content


def test_the_same_name_again_replaces_the_content(api: Api) -> None:
    run = ClientRun(api)
    for content in (b"first", b"", b"third"):
        run.upload("config.yaml", content)
        node = run.ask(LIST % ("[]", 50, "null", "null"))["files"]["edges"][0]["node"]
        assert requests.get(node["directUrl"], timeout=20).content == content


def test_files_are_listed_in_pages_by_name_and_by_pattern(api: Api) -> None:
    run = ClientRun(api)
    names = ["a.txt", "b_1.txt", "code/train.py"]
    for name in names:
        run.upload(name, name.encode())
    run.announce("never-sent")
    first = run.ask(LIST % ("[]", 2, "null", "null"))["files"]
    assert [edge["node"]["name"] for edge in first["edges"]] == names[:2]
    assert first["pageInfo"]["hasNextPage"] is True
    assert listed(run, after=f'"{first["pageInfo"]["endCursor"]}"') == names[2:]
    assert listed(run, names='["b_1.txt", "other"]') == ["b_1.txt"]
    assert listed(run, names='["./code/../b_1.txt", null]') == ["b_1.txt"]
    assert listed(run, pattern='"%.txt"') == listed(run, pattern='"*.txt"') == names[:2]
    assert listed(run, pattern='"b_1%"') == ["b_1.txt"]
    assert listed(run, pattern='"a_txt"') == []


def test_as_many_links_as_asked_for_in_the_same_order(api: Api) -> None:
    run = ClientRun(api)
    run.announce("b")
    assert [file["name"] for file in run.announce("c", "b", "a", "c")] == ["c", "b", "a", "c"]


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a//b", "", "a/../../b", "x" * 2000])
def test_names_that_lead_out_are_refused(api: Api, name: str) -> None:
    with pytest.raises(RefusedByServer, match=r"400: .* is no name for a file"):
        ClientRun(api).announce(name)


def test_a_link_is_good_for_one_file_and_one_action(api: Api) -> None:
    run = ClientRun(api)
    url = run.announce("one")[0]["uploadUrl"]
    assert requests.get(url.replace("run-upload", "run-download"), timeout=20).status_code == 403
    assert requests.put(url.replace("run-upload", "upload"), b"x", timeout=20).status_code == 403
    token = url.rpartition("/")[2]
    assert requests.put(url.replace(token, f"9{token}"), b"x", timeout=20).status_code == 403
    assert listed(run) == []


def test_files_of_a_run_that_does_not_exist_are_refused(api: Api) -> None:
    run = ClientRun(api)
    run.name = "never-made"
    with pytest.raises(RefusedByServer, match="404"):
        run.announce("a")
