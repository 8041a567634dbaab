"""Repositories that lie on another host, fetched by the real git over HTTP and over ssh's place in between."""

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.errors import SourceError
from ipc.policy_rules import PolicyRules
from ipc.run_spec import GitSpec
from tests.support.git_origin import Origin
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.job_contexts import Heard
from workers.context import JobContext
from workers.sources.git import GitSource

ContextMaker = Callable[..., JobContext]

PASSWORD = "hunter2"


class GitHandler(QuietHandler):
    """Git's own server side as a CGI program, for those who know the password."""

    root: Path

    def do_GET(self) -> None:  # noqa: N802 (the name in the standard library)
        """Answer which refs there are."""
        self._serve(b"")

    def do_POST(self) -> None:  # noqa: N802 (the name in the standard library)
        """Answer with objects."""
        self._serve(self.rfile.read(int(self.headers["Content-Length"])))

    def _serve(self, body: bytes) -> None:
        if self.headers["Authorization"] != f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}":
            self.answer(401, b"", {"WWW-Authenticate": "Basic"})
            return
        path, _, query = self.path.partition("?")
        environment = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self.answer(200, content, dict(line.split(": ", 1) for line in head.decode().split("\r\n")))


@pytest.fixture
def git_server(origin: Origin) -> Iterator[str]:
    """Address of a server, without its scheme, that has the origin at ``/origin``."""
    handler = type("Handler", (GitHandler,), {"root": origin.path.parent})
    with serving(LocalServer(handler)) as server:
        yield server.url.removeprefix("http://")


def fetch(make_context: ContextMaker, url: str, version: str | None) -> Path:
    rules = PolicyRules(git_transports=("https", "ssh", "http"))
    return GitSource().fetch(make_context(spec={"git": GitSpec(url, version)}, policy=rules)).directory


def test_a_commit_comes_over_http_with_the_credentials_in_the_url(
    git_server: str, make_context: ContextMaker, origin: Origin, heard: Heard
) -> None:
    wanted = origin.commit("first")
    origin.commit("second")

    directory = fetch(make_context, f"http://ada:{PASSWORD}@{git_server}/origin", wanted)

    assert (directory / "main.py").read_text() == "first"
    assert PASSWORD not in " ".join(heard.progress())


def test_nobody_is_asked_for_a_password(git_server: str, make_context: ContextMaker) -> None:
    with pytest.raises(SourceError, match=r"could not be fetched: .*terminal prompts disabled") as failure:
        fetch(make_context, f"http://{git_server}/origin", "main")

    assert "credential helper" in (failure.value.hint or "")


@pytest.fixture
def ssh_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program in ssh's place, which runs on this host what it is to run on another, writes its arguments."""
    calls, program = tmp_path / "calls", tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\nfor command; do :; done\nexec sh -c "$command"\n')
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    return calls


@pytest.mark.parametrize("url", ["ssh://git@example.org:2222{path}", "git@example.org:{path}"])
@pytest.mark.parametrize("version", ["main", "v1", None])
def test_a_version_comes_over_ssh(
    url: str, version: str | None, ssh_calls: Path, make_context: ContextMaker, origin: Origin
) -> None:
    origin.commit("first")
    origin.git("tag", "v1")

    directory = fetch(make_context, url.format(path=origin.path), version)

    assert (directory / "main.py").read_text() == "first"
    for call in ssh_calls.read_text().splitlines():
        assert call.startswith("-o BatchMode=yes -o ConnectTimeout=30 ")
        assert "git@example.org" in call
