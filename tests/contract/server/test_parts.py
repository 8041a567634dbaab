"""Multipart uploads of artifact files, as W&B's clients do from 2 GiB."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.artifacts import Logging, collect, downloaded, files_of, md5_of
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

FILE = "big.bin"
UPLOAD = "uploadID uploadUrlParts { partNumber uploadUrl }"


@pytest.fixture(scope="module")
def small(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server with a small quota, part of which a multipart upload takes until it is assembled."""
    with running_server(
        tmp_path_factory.mktemp("small"), "--max-store-bytes", "900000", "--gc-pause-seconds", "0"
    ) as server:
        yield server


@pytest.fixture
def api(small: RunningServer) -> Iterator[Api]:
    with small.api() as client:
        collect(client)
        yield client


class Parts:
    """One multipart upload, as its client sees it."""

    def __init__(self, api: Api, parts: Sequence[bytes], *, promised: bytes | None = None) -> None:
        self.api = api
        self.parts = parts
        self.content = b"".join(parts) if promised is None else promised
        self.logging = Logging(api, {FILE: self.content})
        self.announced = [
            {"partNumber": number, "hexMD5": hashlib.md5(part).hexdigest()} for number, part in enumerate(parts, 1)
        ]
        self.upload: dict[str, Any] = self.announce()["uploadMultipartUrls"]

    def announce(self, announced: object = None) -> dict[str, Any]:
        spec = {
            "artifactID": self.logging.id,
            "name": FILE,
            "md5": md5_of(self.content),
            "uploadPartsInput": announced or self.announced,
        }
        selection = f"files {{ edges {{ node {{ uploadUrl storagePath uploadMultipartUrls {{ {UPLOAD} }} }} }} }}"
        made = self.api.mutate("createArtifactFiles", selection, artifactFiles=[spec])
        node: dict[str, Any] = made["files"]["edges"][0]["node"]
        return node

    def put(self, number: int, content: bytes | None = None) -> requests.Response:
        link = self.upload["uploadUrlParts"][number - 1]["uploadUrl"]
        return requests.put(link, self.parts[number - 1] if content is None else content, timeout=20)

    def put_all(self) -> list[dict[str, Any]]:
        """The parts as the client reports them: the ETags of the responses."""
        answers = [self.put(number) for number in reversed(range(1, len(self.parts) + 1))]
        assert {answer.status_code for answer in answers} == {200}
        tags = [answer.headers["ETag"] for answer in reversed(answers)]
        return [{"partNumber": number, "hexMD5": tag} for number, tag in enumerate(tags, 1)]

    def end(self, completed: object = None, action: str = "Complete") -> Any:
        return self.api.mutate(
            "completeMultipartUploadArtifact",
            "digest",
            completeMultipartAction=action,
            completedParts=completed or self.announced,
            artifactID=self.logging.id,
            storagePath="any",
            uploadID=self.upload["uploadID"],
        )

    def commit(self) -> None:
        self.logging.manifest()
        self.logging.commit()


def three(size: int = 20_000) -> list[bytes]:
    return [fresh_name("part").encode().ljust(length, b".") for length in (size, size, 7)]


def test_a_file_in_parts_comes_back_whole(api: Api, small: RunningServer) -> None:
    before = files_of(small)
    sent = Parts(api, three())
    assert [part["partNumber"] for part in sent.upload["uploadUrlParts"]] == [1, 2, 3]
    assert sent.end(sent.put_all()) == {"digest": md5_of(sent.content)}
    assert sent.end() == {"digest": md5_of(sent.content)}, "the answer may have been lost"
    sent.commit()
    assert downloaded(sent.logging) == {FILE: sent.content}
    wait_until(lambda: len(files_of(small) - before) == 2, what="the removal of the parts: a file and a manifest stay")


def test_an_upload_goes_on_where_it_was_left(api: Api) -> None:
    sent = Parts(api, three())
    sent.put(1)
    again = sent.announce()["uploadMultipartUrls"]
    assert again["uploadID"] == sent.upload["uploadID"]
    with pytest.raises(RefusedByServer, match=r"part 2, 3 has not been uploaded"):
        sent.end()
    sent.put(2)
    sent.put(3)
    collect(api)
    assert sent.end()["digest"] == md5_of(sent.content)


def test_a_part_that_is_not_what_was_announced_is_refused(api: Api, small: RunningServer) -> None:
    sent = Parts(api, three())
    before = files_of(small)
    answer = sent.put(1, b"something else")
    assert (answer.status_code, "does not match its digest" in answer.text) == (400, True)
    assert files_of(small) == before


def test_parts_that_are_not_the_file_are_refused_and_leave_nothing(api: Api, small: RunningServer) -> None:
    before = files_of(small)
    sent = Parts(api, three(), promised=b"another file")
    completed = sent.put_all()
    with pytest.raises(RefusedByServer, match="does not match its digest"):
        sent.end(completed)
    sent.end(action="Abort")
    collect(api)
    assert files_of(small) == before
    assert sent.put(1).status_code == 404


def test_the_whole_file_may_come_in_one_piece_all_the_same(api: Api, small: RunningServer) -> None:
    before = files_of(small)
    sent = Parts(api, three())
    sent.put(2)
    assert requests.put(sent.announce()["uploadUrl"], sent.content, timeout=20).status_code == 200
    sent.commit()
    collect(api)
    assert len(files_of(small) - before) == 2
    assert Parts(api, [sent.content]).upload is None, "what is stored already needs no upload"


def test_parts_of_an_artifact_that_is_deleted_go(api: Api, small: RunningServer) -> None:
    before = files_of(small)
    sent = Parts(api, three())
    sent.put_all()
    api.mutate("deleteArtifact", "artifact { id }", artifactID=sent.logging.id)
    collect(api)
    assert files_of(small) == before


def test_there_must_be_room_for_parts_and_file(api: Api, small: RunningServer) -> None:
    sent = Parts(api, three(250_000))
    completed = sent.put_all()
    with pytest.raises(RefusedByServer, match="store is full"):
        sent.end(completed)
    api.mutate("deleteArtifact", "artifact { id }", artifactID=sent.logging.id)
    collect(api)
    assert not list((small.data_dir / "files" / "incoming").iterdir())


HEX = hashlib.md5(b"x").hexdigest()


@pytest.mark.parametrize(
    ("announced", "sentence"),
    [
        ([{"partNumber": 2, "hexMD5": HEX}], "not numbered 1, 2, 3"),
        ([{"partNumber": 1, "hexMD5": HEX}] * 2, "not numbered 1, 2, 3"),
        ([{"partNumber": 1, "hexMD5": "x"}], "no MD5 in hex"),
        ([{"partNumber": 1, "hexMD5": HEX * 2}], "no MD5 in base64"),
        ([{"partNumber": number, "hexMD5": HEX} for number in range(1, 10_002)], "at most 10000"),
    ],
)
def test_parts_that_are_none_are_refused(api: Api, announced: object, sentence: str) -> None:
    sent = Parts(api, three())
    with pytest.raises(RefusedByServer, match=sentence):
        sent.announce(announced)


def test_another_artifacts_upload_is_not_found(api: Api) -> None:
    mine, other = Parts(api, three()), Parts(api, three())
    mine.put_all()
    mine.upload["uploadID"] = other.upload["uploadID"]
    with pytest.raises(RefusedByServer, match=r"404: .* has no upload"):
        mine.end()
    mine.upload["uploadID"] = base64.b64encode(b"Upload:" + b"9" * 30).decode()
    with pytest.raises(RefusedByServer, match=r"404: .* has no upload"):
        mine.end()


def test_what_was_received_outlives_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path, "--gc-pause-seconds", "0") as server, server.api() as api:
        sent = Parts(api, three(300_000))
        sent.put(1)
        sent.put(2)
        server.restart()
        sent.put(3)
        collect(api)
        assert sent.end()["digest"] == md5_of(sent.content)
        sent.commit()
        assert downloaded(sent.logging) == {FILE: sent.content}


def test_a_waiting_client_is_asked_to_retry(tmp_path: Path) -> None:
    with running_server(tmp_path, "--assembly-timeout-seconds", "0") as server, server.api() as api:
        sent = Parts(api, three())
        sent.put_all()
        answers: list[str] = []

        def is_done() -> bool:
            try:
                return bool(sent.end())
            except RefusedByServer as error:
                answers.append(json.dumps([error.status, *error.messages]))
                return False

        wait_until(is_done, what="the file, put together")
        assert set(answers) == {
            json.dumps([503, f"The parts of '{FILE}' are still being put together. Ask again soon."])
        }
