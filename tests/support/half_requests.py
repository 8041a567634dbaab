"""Requests that are begun and not ended."""

import base64
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.support.artifacts import Logging
from tests.support.runs import ClientRun
from tests.support.server import Api

SIZE = 3_000_000


def upload_link(api: Api) -> str:
    return str(Logging(api, {"a": b"z" * SIZE}).announce()[0]["uploadUrl"])


def run_upload_link(api: Api) -> str:
    return ClientRun(api).announce("a")[0]["uploadUrl"]


TARGETS: dict[str, tuple[str, Callable[[Api], str]]] = {
    "a file of an artifact": ("PUT", upload_link),
    "a file of a run": ("PUT", run_upload_link),
    "a query": ("POST", lambda api: f"{api.url}/graphql"),
    "a file stream": ("POST", lambda api: f"{api.url}/files/me/proj/{ClientRun(api).name}/file_stream"),
}


@contextmanager
def begun(api: Api, target: str, some: bytes) -> Iterator[socket.socket]:
    """Send the first bytes of a request and leave it at that."""
    method, find = TARGETS[target]
    address = urlsplit(find(api))
    key = base64.b64encode(f"api:{api.key}".encode()).decode()
    head = (
        f"{method} {address.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {key}\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection((str(address.hostname), address.port or 80), timeout=20) as connection:
        connection.sendall(head.encode() + some)
        yield connection
