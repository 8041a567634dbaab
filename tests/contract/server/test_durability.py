"""What was answered is on disk: deaths of the server, a disk that is full, a database that is broken."""

import collections
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
import requests

from tests.support.server import Api, RefusedByServer, RunningServer, running_server
from tests.support.waiting import wait_until

T = TypeVar("T")

ITEMS = 500
CLAIMERS = 8


class Claimer(threading.Thread):
    """An agent that claims, acknowledges and reports until told to end, through deaths of the server."""

    def __init__(self, server: RunningServer, agent: str, number: int) -> None:
        super().__init__(name=f"claimer-{number}")
        self.ran: list[str] = []
        self.error: Exception | None = None
        self.done = threading.Event()
        self._server = server
        self._agent = agent
        self._number = number

    def run(self) -> None:
        try:
            with self._server.api() as api:
                turn = 0
                while not self.done.is_set():
                    turn += 1
                    self._turn(api, f"{self._number}-{turn}")
        except Exception as error:  # noqa: BLE001 - shown by the test
            self.error = error

    def _turn(self, api: Api, claim_id: str) -> None:
        items = self._insist(lambda: api.claim(self._agent, claim_id, items=7, wait=1))
        if not items:
            return
        accepted = self._insist(lambda: api.ack(self._agent, *items))
        ran = [item for item, yes in zip(items, accepted, strict=True) if yes]
        self.ran += ran
        if ran:
            assert all(self._insist(lambda: api.report_all(self._agent, ran, 1, "finished")))

    def _insist(self, call: Callable[[], T]) -> T:
        """As an agent does: the same request again until the server is back."""
        (answer,) = wait_until(lambda: _attempt(call), timeout=20, what="an answer")
        return answer


def _attempt(call: Callable[[], T]) -> list[T]:
    try:
        return [call()]
    except requests.RequestException:
        return []


def test_each_item_is_claimed_once_through_the_death_of_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        queue = api.create_queue("q")
        claimers = [Claimer(server, api.create_agent(queue), number) for number in range(CLAIMERS)]
        for claimer in claimers:
            claimer.start()
        pushed = [api.push("q") for _ in range(ITEMS // 2)]
        wait_until(lambda: sum(len(claimer.ran) for claimer in claimers) > ITEMS // 10, what="the first items")
        server.restart()
        pushed += [api.push("q") for _ in range(ITEMS // 2)]
        wait_until(lambda: _count(claimers) >= ITEMS or _errors(claimers), timeout=40, what="all items")
        for claimer in claimers:
            claimer.done.set()
        for claimer in claimers:
            claimer.join(30)
        assert _errors(claimers) == []
        times = collections.Counter(item for claimer in claimers for item in claimer.ran)
        assert times == collections.Counter(pushed)
        assert {api.state(item) for item in pushed} == {"FINISHED"}


def _count(claimers: list[Claimer]) -> int:
    return sum(len(claimer.ran) for claimer in claimers)


def _errors(claimers: list[Claimer]) -> list[Exception]:
    return [claimer.error for claimer in claimers if claimer.error is not None]


def test_every_answer_outlives_a_death(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        item = api.push("q")
        server.restart()
        assert api.claim(agent, "c1") == [item]
        server.restart()
        assert api.ack(agent, item) == [True]
        server.restart()
        assert api.state(item) == "CLAIMED"
        assert api.report(agent, item, 1, "finished")
        server.restart()
        assert api.state(item) == "FINISHED"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as server:
        yield server


def test_a_full_disk_is_answered_503_and_gets_well_again(small: RunningServer) -> None:
    """No file of the server may grow: to SQLite that is what a full disk is."""
    with small.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        before = api.push("q")
        process = psutil.Process(small.process.pid)
        unlimited = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))
        for _ in range(3):
            with pytest.raises(RefusedByServer, match="503: The queue server cannot use its database at present"):
                api.push("q")
        assert api.state(before) == "PENDING", "reading goes on"
        assert requests.get(f"{small.url}/healthz", timeout=10).json() == {"status": "ok"}
        process.rlimit(resource.RLIMIT_FSIZE, unlimited)
        after = api.push("q")
        assert api.claim(agent, "c1", items=5) == [before, after], "nothing of what was refused has been kept"


def test_a_second_server_over_the_same_data_does_not_start(small: RunningServer) -> None:
    command = [sys.executable, "-m", "launchd.server", "--data-dir", str(small.data_dir), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Error: Another queue server uses the data directory {small.data_dir}.\n"


def test_a_port_that_is_taken_is_named(small: RunningServer, tmp_path: Path) -> None:
    port = small.url.rpartition(":")[2]
    command = [sys.executable, "-m", "launchd.server", "--data-dir", str(tmp_path / "other"), "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Error: The queue server cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_a_database_that_is_none_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.sqlite").write_bytes(b"this is no database " * 100)
    with pytest.raises(RuntimeError, match="cannot be used as a database"), running_server(tmp_path):
        pass


def test_the_key_stays_the_same(small: RunningServer) -> None:
    key = small.key
    small.restart()
    assert small.key == key
    with small.api() as api:
        assert api.run("{ viewer { entity } }") == {"viewer": {"entity": "me"}}
