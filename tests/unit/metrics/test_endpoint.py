"""The endpoint that Prometheus reads, over real sockets."""

import contextlib
import http.client
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from launchd.metrics import endpoint as endpoint_module
from launchd.metrics.address import ListenAddress, open_socket, parse_address
from launchd.metrics.endpoint import MAX_REQUESTS, Endpoint, NoFigures
from launchd.metrics.model import Family, Kind, Metric
from launchd.metrics.recorder import gauge
from tests.support.waiting import wait_until

READS = Metric("launchd_test_reads", Kind.GAUGE, "How often the figures were read.")


class Figures:
    """Figures that say how often they were read."""

    def __init__(self) -> None:
        self.reads = 0
        self.problem: str | None = None

    def read(self) -> list[Family]:
        self.reads += 1
        if self.problem is not None:
            raise NoFigures(self.problem)
        return [gauge(READS, {(): self.reads})]


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
def url(figures: Figures) -> Iterator[str]:
    listening = open_socket(ListenAddress("127.0.0.1", 0))
    endpoint = Endpoint(listening, figures.read)
    endpoint.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    endpoint.close()


def test_the_figures_are_at_one_path(url: str) -> None:
    found, elsewhere = requests.get(f"{url}/metrics?x=1", timeout=5), requests.get(f"{url}/", timeout=5)

    assert (found.status_code, elsewhere.status_code) == (200, 404)
    assert "launchd_test_reads 1.0" in found.text
    assert found.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert requests.post(f"{url}/metrics", timeout=5).status_code == 501


def test_readers_in_a_hurry_get_the_same_figures(url: str, figures: Figures) -> None:
    texts = {requests.get(f"{url}/metrics", timeout=5).text for _ in range(5)}

    assert (len(texts), figures.reads) == (1, 1)


def test_what_cannot_be_read_is_said(url: str, figures: Figures) -> None:
    figures.problem = "The agent does not answer."

    answer = requests.get(f"{url}/metrics", timeout=5)

    assert (answer.status_code, answer.text) == (503, "The agent does not answer.\n")


def test_clients_that_say_nothing_hold_no_room_for_long(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "REQUEST_SECONDS", 0.3)
    port = int(url.rpartition(":")[2])
    # Of servers of other tests.
    before = set(threading.enumerate())
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(MAX_REQUESTS + 5)]
    try:
        silent[0].send(b"GET /met")

        def answers() -> bool:
            try:
                return requests.get(f"{url}/metrics", timeout=5).ok
            except requests.RequestException:
                return False

        wait_until(answers, what="an answer beside silent clients")
    finally:
        for client in silent:
            client.close()
    wait_until(
        lambda: "process_request_thread" not in str(set(threading.enumerate()) - before), what="the clients were let go"
    )


def test_silent_clients_keep_figures_from_no_other(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with contextlib.ExitStack() as opened:
        for _ in range(5 * MAX_REQUESTS):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(3):
            assert requests.get(f"{url}/metrics", timeout=5).ok, "at the first try, and before any deadline"


def test_a_unix_socket_is_for_all_who_come_to_it_and_one_that_is_left_over_is_replaced(
    tmp_path: Path, figures: Figures
) -> None:
    address = parse_address(f"unix:{tmp_path}/metrics.sock")
    open_socket(address).close()
    listening = open_socket(address)
    endpoint = Endpoint(listening, figures.read)
    endpoint.start()
    try:
        with pytest.raises(OSError, match="in use"):
            open_socket(address)
        client = http.client.HTTPConnection("localhost")
        client.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.sock.connect(address.path or "")
        client.request("GET", "/metrics")
        assert b"launchd_test_reads" in client.getresponse().read()
        client.close()
    finally:
        endpoint.close()
    assert stat.S_IMODE((tmp_path / "metrics.sock").stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("text", "shown", "is_local"),
    [
        ("127.0.0.1:9781", "127.0.0.1:9781", True),
        ("localhost:9781", "127.0.0.1:9781", True),
        ("[::1]:9781", "[::1]:9781", True),
        ("unix:/run/x.sock", "unix:/run/x.sock", True),
        ("0.0.0.0:9781", "0.0.0.0:9781", False),
        ("[::]:1", "[::]:1", False),
        ("192.0.2.1:9781", "192.0.2.1:9781", False),
    ],
)
def test_an_address_is_local_where_no_other_machine_reaches_it(text: str, shown: str, is_local: bool) -> None:
    address = parse_address(text)

    assert (str(address), address.is_local) == (shown, is_local)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("9781", "in numbers"),
        ("127.0.0.1", "ADDRESS:PORT"),
        ("127.0.0.1:70000", "ADDRESS:PORT"),
        ("example.org:9781", "in numbers"),
        ("unix:metrics.sock", "absolute"),
        ("unix:/" + "x" * 107, "107 bytes"),
    ],
)
def test_what_is_no_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_address(text)
