"""Requests that say something where nobody looks for it."""

import base64
import json
import socket
from urllib.parse import urlsplit

import pytest

from tests.support.runs import ClientRun
from tests.support.server import Api, RefusedByServer, RunningServer

FILES = "files { edges { node { name } } }"


def send(server: RunningServer, header: bytes, trailer: bytes) -> bytes:
    """The response to a query in one chunk, with a trailer in the same packet."""
    body = json.dumps({"query": "{ viewer { name } }"}).encode()
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=20) as connection:
        connection.sendall(
            b"POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
            + header
            + b"\r\n%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailer)
        )
        answer = b""
        while more := connection.recv(4096):
            answer += more
    return answer


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_trailer_is_no_header(server: RunningServer) -> None:
    key = base64.b64encode(f"api:{server.key}".encode())
    authorization = b"Authorization: Basic %s\r\n" % key
    assert b" 200 " in send(server, authorization, b"")
    assert b" 200 " in send(server, authorization, b"Authorization: Basic eA==\r\nX-Other: y\r\n")
    assert b" 401 " in send(server, b"Trailer: Authorization\r\n", authorization)


@pytest.mark.parametrize(
    "name",
    [
        "a\nb",
        "a\rb",
        "a\tb",
        "\x1b[2Ja",
        "a\x7f",
        "a\x9bb",
        "a\u2028b",
        "a\u2029b",
        "txt.\u202eexe.gpj",
        "a\u202ab",
        "a\u2066b",
        "a\u2069b",
        "a\u200eb",
        "a\u200fb",
        "a\u061cb",
    ],
)
def test_a_name_that_no_line_can_show_as_it_is_is_refused(api: Api, name: str) -> None:
    run = ClientRun(api)
    with pytest.raises(
        RefusedByServer, match=r"400: '.*' is no name for a file here: it has a control character"
    ) as no:
        run.announce(name)
    assert no.value.messages[0].isprintable()
    assert no.value.messages[0].isascii()
    assert run.announce("größe ✓ 文件.txt")[0]["name"] == "größe ✓ 文件.txt"
