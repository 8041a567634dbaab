"""Many small files in one request: all of them or none, each by its own link."""

import io
import zipfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from launchd.client.artifacts import download_artifact, upload_directory
from launchd.client.file_packs import LINK_HEADER, PACKS_PATH, packed, unpacked
from launchd.client.queue_server import QueueServer
from tests.support.artifacts import Logging
from tests.support.server import Account, Api, RunningServer, fresh_name


def contents_of(count: int) -> dict[str, bytes]:
    return {f"f{number}": fresh_name("content").encode() for number in range(count)}


def announced(logged: Logging) -> list[str]:
    return [str(one["uploadUrl"]).rpartition("/")[2] for one in logged.announce()]


def put(server: RunningServer, contents: Mapping[str, bytes], body: bytes | None = None) -> requests.Response:
    headers = {LINK_HEADER: next(iter(contents))}
    return requests.put(
        server.url + PACKS_PATH, packed(contents) if body is None else body, headers=headers, timeout=20
    )


def get(server: RunningServer, tokens: list[str]) -> requests.Response:
    return requests.post(server.url + PACKS_PATH, json={"tokens": tokens}, timeout=20)


def links_to_read(logged: Logging) -> dict[str, str]:
    edges: list[dict[str, Any]] = logged.look("files { edges { node { name directUrl } } }")["files"]["edges"]  # type: ignore[index,assignment]
    return {edge["node"]["name"]: str(edge["node"]["directUrl"]).rpartition("/")[2] for edge in edges}


def test_a_pack_is_stored_and_given_back(api: Api, server: RunningServer) -> None:
    files = contents_of(5)
    logged = Logging(api, files)
    assert put(server, dict(zip(announced(logged), files.values(), strict=True))).status_code == 200
    logged.manifest()
    logged.commit()

    links = links_to_read(logged)
    answer = get(server, list(links.values()))

    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert unpacked(answer.content) == {links[name]: content for name, content in files.items()}


def test_one_wrong_content_and_nothing_is_stored(api: Api, server: RunningServer) -> None:
    files = contents_of(3)
    logged = Logging(api, files)
    contents = dict(zip(announced(logged), files.values(), strict=True))
    wrong = contents | {list(contents)[-1]: b"something else"}

    refused = put(server, wrong)

    assert (refused.status_code, "does not match its digest" in refused.text) == (400, True)
    assert put(server, contents).status_code == 200


def test_a_link_is_for_its_file_and_its_action_alone(api: Api, server: RunningServer) -> None:
    files = contents_of(2)
    logged = Logging(api, files)
    tokens = announced(logged)
    forged = tokens[0][:-1] + ("0" if tokens[0][-1] != "0" else "1")

    assert put(server, {forged: b"x"}).status_code == 403
    assert put(server, {tokens[0]: files["f0"], forged: b"x"}).status_code == 403
    assert get(server, tokens).status_code == 403
    assert requests.put(server.url + PACKS_PATH, b"x" * 1000, timeout=20).status_code == 403


def overlapping(members: int) -> bytes:
    """Return an archive that lists one file of 1 MB as many members."""
    whole = packed({"a": b"x" * 1_000_000})
    place, end = whole.index(b"PK\x01\x02"), whole[-22:]
    listed = whole[place:-22] * members
    counts = members.to_bytes(2, "little") * 2 + len(listed).to_bytes(4, "little")
    return whole[:place] + listed + end[:8] + counts + end[16:]


def test_members_that_share_their_bytes_are_not_unpacked() -> None:
    assert list(unpacked(overlapping(1)) or {}) == ["a"]
    assert unpacked(overlapping(1000)) is None


@pytest.mark.parametrize("kind", ["no archive", "compressed", "too many", "too big", "empty"])
def test_what_is_no_pack_is_refused(api: Api, server: RunningServer, kind: str) -> None:
    tokens = announced(Logging(api, contents_of(70 if kind == "too many" else 1)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(tokens[0], b"0" * 1_000_000)
    bodies = {"no archive": b"PK no", "compressed": buffer.getvalue(), "empty": packed({})}
    contents = dict.fromkeys(tokens, b"x" * (100000 if kind == "too big" else 1))

    assert put(server, contents, bodies.get(kind)).status_code == 400


def test_who_has_lost_the_right_stores_nothing(api: Api, server: RunningServer, account: Account) -> None:
    with account.api() as own:
        files = contents_of(2)
        contents = dict(zip(announced(Logging(own, files, entityName=account.entity)), files.values(), strict=True))
    api.mutate("deleteUser", "keys", username=account.entity)

    assert put(server, contents).status_code in (403, 404)


def test_a_directory_of_many_files_takes_few_requests(
    server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    (code / "deep").mkdir(parents=True)
    for number in range(200):
        (code / "deep" / f"f{number}").write_text(fresh_name(str(number)))
    (code / "deep" / "empty").touch()
    (code / "big").write_bytes(fresh_name("big").encode() * 20_000)
    (code / "run.sh").write_text(fresh_name("#!/bin/sh"))
    (code / "run.sh").chmod(0o755)
    sent: list[str] = []
    request = requests.Session.request

    def noted(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
        sent.append(url)
        return request(session, method, url, **options)

    monkeypatch.setattr(requests.Session, "request", noted)

    with closing(QueueServer(server.url, server.key)) as client:
        artifact = upload_directory(client, "me", "packs", fresh_name("code"), code)
        download_artifact(client, artifact, tmp_path / "again")

    assert len([url for url in sent if "/storage/" in url]) < 20
    names = sorted(path.relative_to(code) for path in code.rglob("*"))
    assert sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*")) == names
    for name in names:
        was, now = code / name, tmp_path / "again" / name
        assert was.is_dir() or (was.read_bytes(), was.stat().st_mode & 0o111) == (
            now.read_bytes(),
            now.stat().st_mode & 0o111,
        )
