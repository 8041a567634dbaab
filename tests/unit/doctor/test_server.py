"""The checks of the queue server, over a real one; wrong clocks are a server's of the tests on a real socket."""

import socket
import time
from contextlib import closing
from email.utils import formatdate

import pytest

from launchd.client.queue_server import QueueServer
from launchd.doctor import server as checks
from launchd.doctor.findings import Verdict
from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.server import RunningServer
from tests.unit.doctor.conftest import MakeHost, only, verdicts


@pytest.fixture(autouse=True)
def queues(server: RunningServer) -> None:
    with closing(QueueServer(server.url, server.key)) as client:
        for name, kind in (("default", "local-process"), ("cluster", "kubernetes"), ("boxes", "local-container")):
            if client.queue("me", name) is None:
                client.create_queue("me", name, resource=kind)


def key(server: RunningServer, role: str) -> str:
    with closing(QueueServer(server.url, server.key)) as client:
        return client.create_key("doctor", role)


@pytest.mark.parametrize("role", ["AGENT", "MEMBER", "ADMIN"])
def test_a_key_that_serves(at_server: MakeHost, server: RunningServer, role: str) -> None:
    found = only(checks.check_server(at_server(key(server, role))))
    assert found.verdict is Verdict.OK
    assert f"the key has the role {role.lower()}" in found.sentence


def test_a_key_that_may_only_look(at_server: MakeHost, server: RunningServer) -> None:
    found = only(checks.check_server(at_server(key(server, "VIEWER"))))
    assert (found.verdict, "role viewer" in found.sentence) == (Verdict.FAIL, True)


def test_a_wrong_key(at_server: MakeHost) -> None:
    found = only(checks.check_server(at_server("local-wrong")))
    assert (found.verdict, "does not accept the API key" in found.sentence) == (Verdict.FAIL, True)
    assert "clock" in found.fix


def test_no_key(host: MakeHost, server: RunningServer) -> None:
    found = only(checks.check_server(host(url=server.url)))
    assert (found.verdict, "There is no API key" in found.sentence) == (Verdict.FAIL, True)


def test_a_server_that_is_away(at_server: MakeHost) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = at_server(settings={"base_url": f"http://127.0.0.1:{nobody.getsockname()[1]}"})
        away = type(away)(away.config, environ=away.environ)
        found = only(checks.check_server(away))
        assert (found.verdict, "nothing listens there" in found.sentence) == (Verdict.FAIL, True)
        assert only(checks.check_clock(away)).verdict is Verdict.NOT_APPLICABLE
        assert only(checks.check_queues(away)).verdict is Verdict.NOT_APPLICABLE


def test_the_clock_of_the_server(at_server: MakeHost) -> None:
    assert only(checks.check_clock(at_server())).verdict is Verdict.OK


class ServerOfAnotherTime(LocalServer):
    """Says a time that differs from this host's by ``seconds``; without them, none."""

    def __init__(self, seconds: float | None) -> None:
        super().__init__(_ClockHandler)
        self.seconds = seconds


class _ClockHandler(QuietHandler):
    server: ServerOfAnotherTime

    def do_HEAD(self) -> None:  # noqa: N802 - the name in the standard library
        self.send_response_only(401)
        if self.server.seconds is not None:
            self.send_header("Date", formatdate(time.time() + self.server.seconds, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize(
    ("seconds", "verdict", "words"),
    [
        (1.0, Verdict.OK, "the same time"),
        (30.0, Verdict.WARN, "30 s behind the queue server's"),
        (-3600.0, Verdict.FAIL, "3600 s ahead of the queue server's"),
        (None, Verdict.NOT_APPLICABLE, "does not say"),
    ],
)
def test_a_wrong_clock(host: MakeHost, seconds: float | None, verdict: Verdict, words: str) -> None:
    with serving(ServerOfAnotherTime(seconds)) as server:
        found = only(checks.check_clock(host(url=server.url)))
    sentence = found.sentence.replace("29 s", "30 s").replace("3599 s", "3600 s").replace("31 s", "30 s")
    assert (found.verdict, words in sentence) == (verdict, True), found


def test_queues_that_are_served(at_server: MakeHost) -> None:
    assert only(checks.check_queues(at_server())).verdict is Verdict.OK


def test_queues_that_cannot_be_served(at_server: MakeHost) -> None:
    found = list(checks.check_queues(at_server(queues=("default", "missing", "boxes"))))
    assert verdicts(found) == [Verdict.OK, Verdict.FAIL, Verdict.FAIL]
    assert "There is no queue 'missing' of 'me'." in found[1].sentence
    assert "the policy of this host does not grant" in found[2].sentence
    granted = at_server(queues=("boxes",), policy={"resources": ("local-container",)})
    assert only(checks.check_queues(granted)).verdict is Verdict.OK
