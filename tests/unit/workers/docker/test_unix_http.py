"""HTTP over a unix socket: answers, refusals, streams, and ends in the middle."""

import http.client
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from workers.docker.unix_http import Refused, UnixHttp

PIECES = [b"one", b"two" * 50_000, b"three"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path:
            case "/stream":
                self._stream(whole=True)
            case "/cut":
                self._stream(whole=False)
            case "/refused":
                self._answer(409, b'{"message": "The name is taken."}')
            case "/broken":
                self._answer(500, b"out of order")
            case "/nothing":
                self._answer(204, b"")
            case path:
                self._answer(200, f'{{"path": "{path}"}}'.encode())

    def do_HEAD(self) -> None:
        self.send_response(404 if self.path == "/refused" else 200)
        self.send_header("X-Told", "something")
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get("Content-Type", "")
        self._answer(200, b'{"kind": "%s", "size": %d}' % (kind.encode(), len(body)))

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, *, whole: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in PIECES:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, *_: object) -> None:
        return


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: a client that leaves in the middle is one of the tests'."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[UnixHttp]:
    path = str(tmp_path / "s")
    with _Server(path, _Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield UnixHttp(path, 5.0)
        listening.shutdown()
        thread.join()


def test_an_answer_is_json_or_nothing(server: UnixHttp) -> None:
    assert server.ask("GET", "/x", {"name": "a b", "all": 1}, None, 5.0) == {"path": "/x?name=a+b&all=1"}
    assert server.ask("GET", "/nothing", {}, None, 5.0) is None


@pytest.mark.parametrize(
    ("body", "kind", "size"),
    [(None, "", 0), ({"a": 1}, "application/json", 7), (b"archive", "application/x-tar", 7)],
)
def test_a_body_is_sent_as_what_it_is(server: UnixHttp, body: object, kind: str, size: int) -> None:
    assert server.ask("POST", "/x", {}, body, 5.0) == {"kind": kind, "size": size}


def test_a_refusal_has_the_servers_words(server: UnixHttp) -> None:
    with pytest.raises(Refused) as taken:
        server.ask("GET", "/refused", {}, None, 5.0)
    with pytest.raises(Refused) as broken:
        server.ask("GET", "/broken", {}, None, 5.0)

    assert (taken.value.status, taken.value.message) == (409, "The name is taken.")
    assert (broken.value.status, broken.value.message) == (500, "out of order")


def test_a_header_is_told_or_refused(server: UnixHttp) -> None:
    assert server.header("/x", {"path": "/a"}, "X-Told", 5.0) == "something"
    assert server.header("/x", {}, "X-Other", 5.0) is None
    with pytest.raises(Refused):
        server.header("/refused", {}, "X-Told", 5.0)


def test_a_stream_comes_whole(server: UnixHttp) -> None:
    with server.stream("/stream", {}) as pieces:
        assert b"".join(pieces) == b"".join(PIECES)


def test_a_stream_that_is_cut_is_not_taken_for_whole(server: UnixHttp) -> None:
    with server.stream("/cut", {}) as pieces, pytest.raises(http.client.HTTPException):
        list(pieces)


def test_no_server_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        UnixHttp(str(tmp_path / "none"), 5.0).ask("GET", "/", {}, None, 5.0)
