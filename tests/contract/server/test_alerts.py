"""Alerts of runs are kept, shown, and sent on where the administrator has chosen."""

import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_servers import LocalServer, QuietHandler, serving
from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

SECRET_PATH = "/services/secret-token"


class Receiver(LocalServer):
    """A webhook. It answers the first request with a redirect, which must not be followed."""

    def __init__(self) -> None:
        super().__init__(ReceiverHandler)
        self.got: list[tuple[str, dict[str, Any]]] = []


class ReceiverHandler(QuietHandler):
    server: Receiver

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        if len(self.server.got) == 1:
            self.answer(307, b"", {"Location": f"{self.server.url}/elsewhere"})
        else:
            self.answer(200, b"ok")


class MailHandler(socketserver.StreamRequestHandler):
    """A mail server, as far as it goes: no real one can be reached from here."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"354 go on\r\n" if word == b"DATA" else b"250 ok\r\n")
            if word == b"DATA":
                self.server.mails.append(self._mail())  # type: ignore[attr-defined]
                self.wfile.write(b"250 taken\r\n")

    def _mail(self) -> str:
        return b"".join(iter(self.rfile.readline, b".\r\n")).decode()


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailHandler)
        self.mails: list[str] = []


@pytest.fixture(scope="module")
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with serving(Receiver()) as server:
        yield server


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, mail_server: MailServer) -> Iterator[Api]:
    directory: Path = tmp_path_factory.mktemp("alerting")
    mail = ("--alert-mail-to", "admin@example.com", "--alert-smtp", f"127.0.0.1:{mail_server.server_address[1]}")
    webhook = {"LAUNCHD_ALERT_WEBHOOK": f"{receiver.url}{SECRET_PATH}"}
    with running_server(directory, *mail, environment=webhook) as server:
        with server.api() as opened:
            yield opened
        assert "secret-token" not in server.log


def alert(run: ClientRun, title: str, text: str = "x", **more: object) -> None:
    names = {"entityName": "me", "projectName": "proj", "runName": run.name}
    run.api.mutate("notifyScriptableRunAlert", "success", title=title, text=text, **names, **more)


def test_an_alert_is_kept_and_sent_on(api: Api, receiver: Receiver, mail_server: MailServer) -> None:
    run, title = ClientRun(api), fresh_name("loss")
    alert(run, f"{title}\nBcc: x@example.com", "It is NaN.", severity="WARN")

    assert run.ask("alerts { title text severity }")["alerts"] == [
        {"title": f"{title}\nBcc: x@example.com", "text": "It is NaN.", "severity": "WARN"}
    ]
    wait_until(lambda: len(mail_server.mails) == 1, 30, "the mail")
    head, _, body = mail_server.mails[0].partition("\r\n\r\n")
    assert f"Subject: [WARN] {title} Bcc: x@example.com (me/proj/{run.name})" in head
    assert "\r\nBcc:" not in head
    assert body.strip() == "It is NaN."
    # The redirect was no success, so it came again.
    assert [path for path, _ in receiver.got] == [SECRET_PATH, SECRET_PATH]
    said = receiver.got[-1][1]
    assert (said["run"], said["severity"], said["message"]) == (run.name, "WARN", "It is NaN.")
    assert said["text"].endswith("\nIt is NaN.")


def test_alerts_with_one_title_wait_for_each_other(api: Api) -> None:
    run = ClientRun(api)
    for text in ("first", "second"):
        alert(run, "same", text, waitDuration=60_000)
    alert(run, "other")
    alert(run, "same", "third")
    assert [each["text"] for each in run.ask("alerts { text }")["alerts"]] == ["third", "x", "first"]


def test_what_no_alert_can_be_is_refused(api: Api) -> None:
    run = ClientRun(api)
    with pytest.raises(RefusedByServer, match="An alert has a title of at most"):
        alert(run, "t" * 1001)
    with pytest.raises(RefusedByServer, match="404"):
        api.mutate("notifyScriptableRunAlert", "success", projectName="proj", runName="none", title="t", text="x")


@pytest.mark.parametrize(
    ("options", "webhook", "reason"),
    [
        ((), "file:///etc/passwd", "must be an address that begins with http"),
        (("--alert-mail-to", "a@b", "--alert-smtp", "x:y"), "", "must be HOST or HOST:PORT"),
    ],
)
def test_a_wrong_address_keeps_the_server_from_starting(
    tmp_path: Path, options: tuple[str, ...], webhook: str, reason: str
) -> None:
    environment = {"LAUNCHD_ALERT_WEBHOOK": webhook} if webhook else {}
    with pytest.raises(RuntimeError, match=reason), running_server(tmp_path, *options, environment=environment):
        pass
