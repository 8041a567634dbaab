"""What an API of a cluster may answer that is none, and ways to a cluster that fail, hang or become others."""

import json
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import psutil
import pytest

from ipc.errors import HostError, RunnerUnavailable
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.registries import make_certificate
from tests.support.waiting import wait_until
from workers.kubernetes import kubeconfig
from workers.kubernetes.access import Access
from workers.kubernetes.api import KubernetesApi
from workers.retry_after import MOST_SECONDS, read_retry_after

HTML = b"<html><body><h1>404 Not Found</h1></body></html>"
JOB = "/apis/batch/v1/namespaces/default/jobs/one"


class Answers(LocalServer):
    """Answers with what stands in ``next``, one after the other; then says whose token was sent."""

    def __init__(self, name: str = "") -> None:
        super().__init__(_Handler)
        self.name = name
        self.next: list[tuple[int, bytes, dict[str, str]]] = []


class _Handler(QuietHandler):
    server: Answers

    def do_GET(self) -> None:  # noqa: N802 (the name that http.server looks for)
        if self.server.next:
            self.answer(*self.server.next.pop(0))
            return
        self.answer(200, json.dumps({"from": self.server.name, "token": self.headers["Authorization"]}).encode())


@pytest.fixture
def server() -> Iterator[Answers]:
    with serving(Answers("first")) as running:
        yield running


def write(path: Path, server: str, user: dict[str, Any] | None = None) -> Access:
    """Write a kubeconfig with two contexts for one cluster, and return the way to it."""
    told = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "ada", "user": user or {"token": "ada"}}, {"name": "bob", "user": {"token": "bob"}}],
        "contexts": [{"name": name, "context": {"cluster": "one", "user": name}} for name in ("ada", "bob")],
        "current-context": "ada",
    }
    path.write_text(json.dumps(told))
    return Access(str(path))


def program(*words: str) -> dict[str, Any]:
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": words[0],
            "args": words[1:],
            "interactiveMode": "Never",
        }
    }


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (404, HTML, "text/html", "it says 404 Not Found, as text/html"),
        (403, HTML, "text/html", "it says 403 Forbidden, as text/html"),
        (302, b"", "text/html", "it says 302 Found"),
        (200, HTML, "text/html", "it says 200 OK, as text/html"),
        (200, b"[1]", "application/json", "it says 200 OK, as application/json"),
        (404, b'{"message": "no route"}', "application/json", "it says 404 Not Found"),
    ],
)
def test_what_is_no_kubernetes_says_nothing_of_a_job(
    server: Answers, tmp_path: Path, status: int, body: bytes, kind: str, said: str
) -> None:
    server.next.append((status, body, {"Content-Type": kind}))

    with closing(KubernetesApi(write(tmp_path / "kubeconfig", server.url))) as api:
        with pytest.raises(RunnerUnavailable, match=f"answers at {server.url} is no Kubernetes API: {said}") as error:
            api.find(JOB)
        assert "the server in the kubeconfig" in (error.value.hint or "")
        assert api.get(JOB)["from"] == "first"


def test_a_page_for_people_is_no_log_of_a_job(server: Answers, tmp_path: Path) -> None:
    server.next.append((200, HTML, {"Content-Type": "text/html; charset=utf-8"}))

    with (
        closing(KubernetesApi(write(tmp_path / "kubeconfig", server.url))) as api,
        pytest.raises(RunnerUnavailable, match="is no Kubernetes API"),
        api.follow(f"{JOB}/log", 5.0) as pieces,
    ):
        list(pieces)


@pytest.mark.parametrize("body", [b"404 page not found\n", b'{"kind": "Status", "reason": "NotFound"}'])
def test_what_kubernetes_does_not_have_is_not_there(server: Answers, tmp_path: Path, body: bytes) -> None:
    server.next.append((404, body, {}))

    with closing(KubernetesApi(write(tmp_path / "kubeconfig", server.url))) as api:
        assert api.find(JOB) is None


def test_an_api_that_is_busy_is_asked_again_when_it_says_also_by_a_date(server: Answers, tmp_path: Path) -> None:
    server.next.append((429, b"Too many requests", {"Retry-After": formatdate(time.time() + 2.5, usegmt=True)}))
    begun = time.monotonic()

    with closing(KubernetesApi(write(tmp_path / "kubeconfig", server.url))) as api:
        assert api.get(JOB)["from"] == "first"

    assert time.monotonic() - begun > 1.2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("999999999999", None),
        ("99999999", MOST_SECONDS),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MOST_SECONDS),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("", None),
        (None, None),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((sys.executable, "-c", "import sys; sys.exit('no such profile')"), "process returned 1. no such profile"),
        (("/nowhere/gke-gcloud-auth-plugin",), "No such file or directory"),
        ((sys.executable, "-c", "print('hello')"), "failed to decode process output"),
    ],
)
def test_a_program_that_gives_no_token_is_named_with_what_it_said(
    server: Answers, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    access = write(tmp_path / "kubeconfig", server.url, program(*words))

    with pytest.raises(HostError, match=f"the program {words[0]} of its user: .*{said}"):
        KubernetesApi(access).connect()


def test_a_program_that_hangs_is_ended_and_named(
    server: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "READ_SECONDS", 1.5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    number = tmp_path / "pid"
    script = f"import os, pathlib, time; pathlib.Path({str(number)!r}).write_text(str(os.getpid())); time.sleep(600)"
    access = write(tmp_path / "kubeconfig", server.url, program(sys.executable, "-c", script))

    with closing(KubernetesApi(access)) as api, pytest.raises(RunnerUnavailable, match=r"no answer within 1\.5 s"):
        api.get(JOB)
    with pytest.raises(HostError) as error:
        KubernetesApi(access).connect()

    assert "(exec) may hang" in (error.value.hint or "")
    wait_until(lambda: not psutil.pid_exists(int(number.read_text())), what="the program is gone")
    assert list(tmp_path.glob("launchd-kubernetes-*")) == []


def test_a_cluster_that_moved_is_found_by_the_kubeconfig_that_says_so(server: Answers, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with serving(Answers("old")) as old, closing(KubernetesApi(write(path, old.url))) as api:
        assert api.get(JOB)["from"] == "old"
    with pytest.raises(RunnerUnavailable):
        api.get(JOB)

    write(path, server.url)
    os.utime(path, ns=(1, time.time_ns() + 1))

    with pytest.raises(RunnerUnavailable):
        api.get(JOB)
    assert api.get(JOB)["from"] == "first"
    api.close()


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Answers, Path]]:
    """What a pod has: an API by TLS, and files with its authority and a token, which is replaced there."""
    certificate = make_certificate(tmp_path, "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    answers = Answers("of pod")
    answers.socket = context.wrap_socket(answers.socket, server_side=True)
    token = tmp_path / "token"
    token.write_text("one")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(answers.server_port))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(certificate))
    with serving(answers):
        yield answers, token


def test_the_token_of_a_pod_is_read_again_when_it_is_refused(account: tuple[Answers, Path]) -> None:
    answers, token = account

    with closing(KubernetesApi(Access())) as api:
        assert api.get(JOB)["token"] == "bearer one"
        token.write_text("two")
        answers.next.append((401, b'{"kind": "Status", "message": "Unauthorized"}', {}))
        with pytest.raises(RunnerUnavailable, match="does not accept the credentials"):
            api.get(JOB)
        assert api.get(JOB)["token"] == "bearer two"


def test_the_token_of_a_pod_is_read_again_after_a_minute_and_may_be_away(
    account: tuple[Answers, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here, because every process of a run of tests loads this module.
    from kubernetes.config.incluster_config import InClusterConfigLoader

    _, token = account
    monkeypatch.setattr(InClusterConfigLoader, "__init__", _immediately(InClusterConfigLoader.__init__))

    with closing(KubernetesApi(Access())) as api:
        assert api.get(JOB)["token"] == "bearer one"
        token.write_text("")
        with pytest.raises(RunnerUnavailable, match="service account cannot be read: Token file exists but empty"):
            api.get(JOB)
        token.write_text("two")
        assert api.get(JOB)["token"] == "bearer two"


def _immediately(begin: Callable[..., None]) -> Callable[..., None]:
    def began(self: Any, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        self._token_refresh_period = timedelta(0)

    return began


def test_an_authority_that_was_replaced_is_read_again(account: tuple[Answers, Path], tmp_path: Path) -> None:
    certificate = tmp_path / "tls.crt"
    right = certificate.read_text()
    (tmp_path / "other").mkdir()
    certificate.write_text(make_certificate(tmp_path / "other", "127.0.0.1").read_text())
    answers, _ = account

    with closing(KubernetesApi(Access())) as api:
        with pytest.raises(RunnerUnavailable, match="its certificate is not accepted"):
            api.get(JOB)
        certificate.write_text(right)
        assert api.get(JOB)["from"] == answers.name


def test_a_host_that_knows_no_cluster_says_what_it_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(HostError, match="There is no kubeconfig for the agent's user"):
        KubernetesApi(Access()).connect()


def test_of_several_kubeconfigs_those_count_that_are_there(
    server: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "kubeconfig", server.url)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none{os.pathsep}{tmp_path}/kubeconfig{os.pathsep}")

    with closing(KubernetesApi(Access())) as api:
        assert api.get(JOB)["token"] == "Bearer ada"


def test_an_api_that_is_silent_took_too_long(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        access = write(tmp_path / "kubeconfig", f"http://127.0.0.1:{silent.getsockname()[1]}")

        with closing(KubernetesApi(access, 0.2)) as api, pytest.raises(RunnerUnavailable) as error:
            api.get(JOB)

    assert error.value.message == "The Kubernetes API does not answer: it took too long."


def test_two_contexts_of_one_cluster_are_two_users(server: Answers, tmp_path: Path) -> None:
    path = str(write(tmp_path / "kubeconfig", server.url).config_file)

    with closing(KubernetesApi(Access(path, "ada"))) as ada, closing(KubernetesApi(Access(path, "bob"))) as bob:
        assert [api.get(JOB)["token"] for api in (ada, bob, ada)] == ["Bearer ada", "Bearer bob", "Bearer ada"]
