"""Every failure of a server or a connection becomes one of four errors with a sentence."""

import json
import socket
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from launchd.client.errors import (
    QueueServerError,
    Refused,
    SecondIncarnation,
    ServerBusy,
    ServerUnreachable,
    Unauthorized,
    UnknownAgent,
)
from launchd.client.queue_server import QueueServer
from tests.unit.client.scripted_server import (
    KEY,
    Fault,
    Reply,
    Request,
    data,
    errors,
    half_an_answer,
    hang_up,
    reset,
    scripted_server,
)


def failure_of(script: Callable[[Request], Reply], timeout: float = 5.0) -> QueueServerError:
    with scripted_server(script) as running, pytest.raises(QueueServerError) as caught:
        QueueServer(running.url, KEY, timeout=timeout).run_state("e", "p", "r")
    return caught.value


def coded(status: int, code: object) -> Reply:
    """A refusal in the form of launchd's server."""
    return Reply(status, json.dumps({"errors": [{"message": "no", "extensions": {"code": code}}]}).encode())


def another_protocol(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.shutdown(socket.SHUT_RDWR)


def broken_gzip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("reply", "kind", "sentence"),
    [
        (errors(400, "no such queue"), Refused, "no such queue"),
        (errors(404, "first", "second"), Refused, "first; second"),
        (errors(409), ServerBusy, "or a proxy before one (HTTP 409)."),
        (Reply(409, b'{"errors": [{}]}'), Refused, "The server refused without a reason."),
        (Reply(422, b'{"error": {"message": "older form"}}'), ServerBusy, "or a proxy before one (HTTP 422)."),
        (Reply(404, b'{"error": "not found"}'), ServerBusy, "or a proxy before one (HTTP 404)."),
        (Reply(400, b'{"errors": ["bare text"]}'), Refused, "bare text"),
        (Reply(404, b'{"errors": "not found"}'), ServerBusy, "or a proxy before one (HTTP 404)."),
        (Reply(400, b"[1, 2]"), ServerBusy, "or a proxy before one (HTTP 400)."),
        (Reply(301, headers={"Location": "https://new"}), ServerBusy, "redirects to https://new (HTTP 301)"),
        (errors(401, "unknown key"), Unauthorized, "does not accept the API key (HTTP 401): unknown key."),
        (errors(403), Unauthorized, "does not accept the API key (HTTP 403)."),
        (errors(500, "broken"), ServerBusy, "cannot serve now (HTTP 500): broken."),
        (Reply(502, b"<html>bad gateway</html>"), ServerBusy, "cannot serve now (HTTP 502)."),
        (errors(408), ServerBusy, "cannot serve now (HTTP 408)."),
        (Reply(403, b"<html>no</html>"), Unauthorized, "key (HTTP 403), or a proxy before it refuses the request."),
        (Reply(407), ServerBusy, "wants a name and a password (HTTP 407)."),
        (Reply(413, b"<html>nginx</html>"), ServerBusy, "takes no request of this size (HTTP 413)"),
        (Reply(200, b"<html>log in to our wireless network</html>"), ServerBusy, "it sent a web page in place of an"),
        (Reply(200, b""), ServerBusy, "else in place of an answer (to RunState). Check the address."),
        (
            Reply(200, b"[]"),
            ServerBusy,
            "else in place of an answer (to RunState). Check the address.",
        ),
        (Reply(200, b'{"data": null}'), ServerBusy, "sent an answer that cannot be understood (to RunState)."),
        (
            Reply(200, b'{"data": {"result": {"run": 3}}}'),
            ServerBusy,
            "answer that cannot be understood (to RunState).",
        ),
        (Reply(200, b'{"data": "\xff"}'), ServerBusy, "it sent something else in place of an answer"),
        (Reply(200, b"[" * 100_000), ServerBusy, "it sent something else in place of an answer"),
        (Reply(200, b'{"errors": [{"message": "Cannot query field"}]}'), Refused, "Cannot query field"),
        (Reply(200, b'{"data": {"result": 1}, "errors": ["why"]}'), Refused, "why"),
        (Reply(200, b'{"data": null, "errors": [{}]}'), Refused, "The server refused without a reason."),
        (coded(404, "UNKNOWN_AGENT"), UnknownAgent, "no"),
        (coded(409, "SECOND_INCARNATION"), SecondIncarnation, "no"),
        (coded(200, "UNKNOWN_AGENT"), UnknownAgent, "no"),
        (coded(400, "REFUSED"), Refused, "no"),
        (coded(400, ["UNKNOWN_AGENT"]), Refused, "no"),
        (Reply(404, b'{"errors": [{"message": "no", "extensions": "UNKNOWN_AGENT"}]}'), Refused, "no"),
    ],
    ids=lambda value: repr(getattr(value, "body", value))[:40],
)
def test_every_answer_that_is_none_has_its_class(reply: Reply, kind: type[QueueServerError], sentence: str) -> None:
    error = failure_of(lambda _: reply)

    assert type(error) is kind
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (reset, "cannot be reached: the connection was cut."),
        (hang_up, "cannot be reached: the connection was cut."),
        (half_an_answer, "cannot be reached: the connection was cut in the middle of an answer."),
        (another_protocol, "cannot be reached: what answers there does not speak HTTP"),
        (broken_gzip, "cannot be reached: its answer cannot be unpacked."),
    ],
)
def test_a_connection_that_breaks_is_unreachable(act: Callable[[socket.socket], None], sentence: str) -> None:
    def script(_: Request) -> Reply:
        raise Fault(act)

    error = failure_of(script)

    assert type(error) is ServerUnreachable
    assert sentence in str(error)


def test_a_server_that_hangs_is_unreachable_after_the_time_limit() -> None:
    with scripted_server(lambda _: data(None)) as running:

        def hang(_: Request) -> Reply:
            running.ending.wait(10)
            return data(None)

        running.script = hang
        with pytest.raises(ServerUnreachable, match=r"did not answer within 0\.2 s\.$"):
            QueueServer(running.url, KEY, timeout=0.2).viewer()


def test_a_call_that_waits_has_more_time() -> None:
    with scripted_server(lambda _: data(None)) as running:

        def wait(_: Request) -> Reply:
            running.ending.wait(0.5)
            return data({"items": [], "stopPolling": False})

        running.script = wait
        assert QueueServer(running.url, KEY, timeout=0.2).claim("a", "i", "c", 1, 0, wait_seconds=5.0).items == ()


def test_nothing_that_listens_and_no_such_host_are_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ServerUnreachable, match="nothing listens there"):
            QueueServer(f"http://127.0.0.1:{port}", KEY).viewer()
    with pytest.raises(ServerUnreachable, match="its host name is not known"):
        QueueServer("http://no-such-host.invalid", KEY).viewer()


def test_a_server_without_tls_is_unreachable_over_https() -> None:
    with scripted_server(lambda _: data(None)) as running, pytest.raises(ServerUnreachable, match="TLS"):
        QueueServer(running.url.replace("http:", "https:"), KEY).viewer()


@pytest.mark.parametrize(("status", "value", "seconds"), [(503, "7", 7.0), (429, "0", 0.0), (503, "soon", None)])
def test_a_busy_server_says_how_long_to_wait(status: int, value: str, seconds: float | None) -> None:
    error = failure_of(lambda _: errors(status, "later", Retry_After=value))

    assert isinstance(error, ServerBusy)
    assert error.retry_after == seconds


def test_a_busy_server_may_name_a_time_of_day() -> None:
    error = failure_of(lambda _: errors(503, Retry_After=formatdate(4102444800, usegmt=True)))

    assert isinstance(error, ServerBusy)
    assert error.retry_after is not None
    assert error.retry_after > 3600


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8080",
        "ftp://h",
        "http://",
        "",
        "http://h ",
        "http://a b",
        "http://h\n",
        "http://[::1",
        "http://h:99999",
    ],
)
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(Refused, match="is not the address of a queue server"):
        QueueServer(address, KEY)


def test_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    with scripted_server(lambda _: data(None)) as running:
        with pytest.raises(Refused, match="cannot be sent"):
            QueueServer(running.url, KEY).run_state("e", "p", "\udcff")
        assert running.requests == []


def test_after_a_failure_the_next_call_works() -> None:
    replies = iter([reset, None])

    def script(_: Request) -> Reply:
        if act := next(replies):
            raise Fault(act)
        return data({"run": {"state": "running"}})

    with scripted_server(script) as running:
        server = QueueServer(running.url, KEY)
        with pytest.raises(ServerUnreachable):
            server.run_state("e", "p", "r")
        assert server.run_state("e", "p", "r") == "running"


def test_the_key_is_sent_and_netrc_does_not_get_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))

    with scripted_server(lambda _: data(None)) as running:
        server = QueueServer(f"{running.url}/prefix/", "abc")
        server.run_state("e", "p", "r")
        server.transport.upload(f"{running.url}/put", {"X-One": "1"}, b"content")
        asked, put = running.requests

    assert (asked.path, asked.headers["Authorization"]) == ("/prefix/graphql", "Basic YXBpOmFiYw==")
    assert (put.path, put.headers["Authorization"], put.headers["X-One"]) == ("/put", None, "1")


def test_calls_share_a_connection() -> None:
    with scripted_server(lambda _: data(None)) as running:
        server = QueueServer(running.url, KEY)
        ports = set()
        handler = running.RequestHandlerClass

        def note(request: socket.socket, address: tuple[str, int]) -> None:
            ports.add(address[1])
            handler(request, address, running)

        running.finish_request = note  # type: ignore[assignment, method-assign]
        for _ in range(3):
            server.run_state("e", "p", "r")
        server.close()

    assert len(ports) == 1


def test_a_text_that_is_not_unicode_is_shown() -> None:
    with pytest.raises(Refused, match=r"sent to a queue server: 'train \\udcff' is no Unicode text\.$"):
        QueueServer("http://127.0.0.1:1", KEY).run_state("e", "p", "train \udcff")
