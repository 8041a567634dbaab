"""Directories come back from a real server byte for byte, and no name from a server leads out of the directory."""

from base64 import b64encode
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from launchd.client import artifact_logging, artifacts
from launchd.client.artifacts import download_artifact, upload_directory
from launchd.client.errors import QueueServerError, Refused, ServerBusy
from launchd.client.queue_server import QueueServer
from tests.unit.client.conftest import ENTITY
from tests.unit.client.scripted_server import KEY, Reply, Request, data, scripted_server


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with names, contents and modes that are easily lost."""
    root = tmp_path / "code"
    (root / "package" / "deep").mkdir(parents=True)
    (root / "main.py").write_bytes(b"print('caf\xc3\xa9')\r\n\x00\xff")
    (root / "empty").touch()
    (root / "package" / "deep" / "größe 1.txt").write_text("x" * 3_000_000)
    script = root / "run.sh"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (root / "link.py").symlink_to("main.py")
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_directory_comes_back_byte_for_byte(launchd_server: QueueServer, code: Path, tmp_path: Path) -> None:
    artifact_id = upload_directory(launchd_server, ENTITY, "p", "code", code)
    download_artifact(launchd_server, artifact_id, tmp_path / "back")

    assert contents(tmp_path / "back") == contents(code)
    assert (tmp_path / "back" / "run.sh").stat().st_mode & 0o111
    assert not (tmp_path / "back" / "main.py").stat().st_mode & 0o111


def test_many_files_travel_in_batches_and_pages(
    launchd_server: QueueServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact_logging, "FILES_PER_REQUEST", 3)
    monkeypatch.setattr(artifacts, "FILES_PER_PAGE", 2)
    root = tmp_path / "code"
    root.mkdir()
    for number in range(7):
        (root / f"{number}.txt").write_text(str(number))

    download_artifact(launchd_server, upload_directory(launchd_server, ENTITY, "p", "many", root), tmp_path / "back")

    assert contents(tmp_path / "back") == contents(root)


def test_the_same_directory_is_stored_once(launchd_server: QueueServer, code: Path) -> None:
    first = upload_directory(launchd_server, ENTITY, "p", "once", code)
    assert upload_directory(launchd_server, ENTITY, "p", "once", code) == first

    (code / "main.py").chmod(0o755)
    assert upload_directory(launchd_server, ENTITY, "p", "once", code) != first


def test_a_file_that_changes_during_the_upload_is_named(
    launchd_server: QueueServer, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = code / "train.log"
    log.write_text(f"begun below {code}")
    create = artifact_logging._create

    def create_and_write(*given: Any) -> Any:
        created = create(*given)
        log.write_text("goes on after its digest was taken")
        return created

    monkeypatch.setattr(artifact_logging, "_create", create_and_write)
    with pytest.raises(Refused, match=rf"^The file {log} changed while it was uploaded\."):
        upload_directory(launchd_server, ENTITY, "p", "changing", code)


def test_a_directory_without_files_is_refused(launchd_server: QueueServer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="There are no files to upload"):
        upload_directory(launchd_server, ENTITY, "p", "none", tmp_path)


def test_a_name_that_is_no_text_is_refused(launchd_server: QueueServer, tmp_path: Path) -> None:
    (tmp_path / "\udcff.py").touch()

    with pytest.raises(Refused, match="cannot be sent"):
        upload_directory(launchd_server, ENTITY, "p", "none", tmp_path)


def test_an_artifact_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    error = download_error(lambda _: data(None), tmp_path)

    assert type(error) is Refused
    assert "has no artifact a." in str(error)


def with_file(
    name: str, content: bytes = b"content", digest: str | None = None, link: str | None = None
) -> Callable[[Request], Reply]:
    """A server with an artifact of one file."""
    stored = digest or b64encode(md5(content, usedforsecurity=False).digest()).decode()

    def script(request: Request) -> Reply:
        if request.method == "GET":
            return Reply(body=content)
        direct_url = link or f"http://{request.headers['Host']}/file"
        file = {"name": name, "directUrl": direct_url, "digest": stored, "sizeBytes": 7}
        return data({"metadata": "{}", "files": {"edges": [{"node": file}], "pageInfo": {"hasNextPage": False}}})

    return script


def download_error(script: Callable[[Request], Reply], into: Path) -> QueueServerError:
    with scripted_server(script) as running, pytest.raises(QueueServerError) as caught:
        download_artifact(QueueServer(running.url, KEY), "a", into)
    return caught.value


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../outside", "", ".", "link/outside", "a\0b"])
def test_no_file_is_written_outside_of_the_directory(tmp_path: Path, name: str) -> None:
    into = tmp_path / "into"
    into.mkdir()
    (into / "link").symlink_to(tmp_path)

    error = download_error(with_file(name), into)

    assert type(error) is Refused
    assert "would lie outside of its directory" in str(error)
    assert not (tmp_path / "outside").exists()


def test_content_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    error = download_error(with_file("main.py", digest="AAAAAAAAAAAAAAAAAAAAAA=="), tmp_path)

    assert type(error) is ServerBusy
    assert "arrived damaged" in str(error)
    assert not (tmp_path / "main.py").exists()


def test_a_reference_is_not_followed(tmp_path: Path) -> None:
    error = download_error(with_file("main.py", link="s3://bucket/main.py"), tmp_path)

    assert type(error) is Refused
    assert "is not stored at the server; it is a reference to s3://bucket/main.py" in str(error)


def test_metadata_of_other_clients_may_have_any_form(tmp_path: Path) -> None:
    script = with_file("main.py")

    def strange(request: Request) -> Reply:
        reply = script(request)
        return Reply(body=reply.body.replace(b'"{}"', b'"{\\"executables\\": 5"'))

    with scripted_server(strange) as running:
        download_artifact(QueueServer(running.url, KEY), "a", tmp_path)

    assert (tmp_path / "main.py").read_bytes() == b"content"
