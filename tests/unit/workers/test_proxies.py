"""A proxy with a password: tools of the agent go through it, and neither a job nor a message has the password.

The proxy is a real one as far as these need it: it asks for its password and answers for the hosts behind it.
"""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ipc.errors import BuildError, JobError
from ipc.policy_rules import PolicyRules
from ipc.run_spec import GitSpec
from ipc.settings import VenvConfig
from ipc.work_order import JobUser
from tests.support.git_origin import Origin
from tests.support.http_servers import LocalServer, serving
from tests.unit.workers.test_git_transports import GitHandler
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.process_environment import process_environment
from workers.runners import LaunchRequest
from workers.runners.local_process import host_environment
from workers.sources import Project
from workers.sources.git import GitSource

ContextMaker = Callable[..., JobContext]

PASSWORD = "sesame-42"
ALLOWED = f"Basic {base64.b64encode(f'host:{PASSWORD}'.encode()).decode()}"


class ProxyHandler(GitHandler):
    """A proxy for HTTP: what it is asked for lies on one git server behind it."""

    asked: list[str]

    def _serve(self, body: bytes) -> None:
        if self.headers["Proxy-Authorization"] != ALLOWED:
            self.answer(407, b"", {"Proxy-Authenticate": "Basic"})
            return
        parts = urlsplit(self.path)
        self.asked.append(parts.netloc)
        if parts.hostname != "git.example":
            self.answer(404, b"")
            return
        self.path = f"{parts.path}?{parts.query}"
        super()._serve(body)


@pytest.fixture
def asked(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hosts that the proxy of this host was asked for."""
    hosts: list[str] = []
    with serving(LocalServer(type("Handler", (ProxyHandler,), {"root": origin.path.parent, "asked": hosts}))) as proxy:
        monkeypatch.setenv("http_proxy", f"http://host:{PASSWORD}@127.0.0.1:{proxy.server_port}")
        yield hosts


def fetch(make_context: ContextMaker, url: str) -> Path:
    rules = PolicyRules(git_transports=("https", "ssh", "http"))
    return GitSource().fetch(make_context(spec={"git": GitSpec(url)}, policy=rules)).directory


def test_git_goes_through_it(make_context: ContextMaker, origin: Origin, asked: list[str]) -> None:
    origin.commit("text")

    directory = fetch(make_context, "http://ada:hunter2@git.example/origin")

    assert (directory / "main.py").read_text() == "text"
    assert set(asked) == {"git.example"}


def test_a_failure_does_not_show_its_password(make_context: ContextMaker, asked: list[str]) -> None:
    with pytest.raises(JobError) as failure:
        fetch(make_context, "http://other.example/origin")

    assert asked
    assert PASSWORD not in f"{failure.value.message} {failure.value.hint} {failure.value.detail}"


@pytest.mark.timeout(120)
def test_what_installs_goes_through_it(
    make_context: ContextMaker, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://index.example/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs")))
    (context.work / "requirements.txt").write_text("tiny\n")

    with pytest.raises(BuildError) as failure:
        VenvBuilder().build(Project(context.work), context)

    assert set(asked) == {"index.example"}
    assert PASSWORD not in f"{failure.value.message} {failure.value.detail}"


def test_a_job_does_not_get_it() -> None:
    host = {"https_proxy": f"http://host:{PASSWORD}@proxy", "http_proxy": "http://proxy", "no_proxy": "me@work"}
    user = JobUser(70000, 70000, "/nonexistent")
    launch = LaunchRequest("name", ("true",), {}, Path("/x"))

    found = host_environment(launch, user, host)

    assert found["http_proxy"] == "http://proxy"
    assert found["no_proxy"] == found["NO_PROXY"] == "me@work,localhost,127.0.0.1,::1"
    assert PASSWORD not in str(found)
    assert PASSWORD in process_environment(host, user, proxy_passwords=True)["https_proxy"]
