"""The control socket: requests reach the main thread, bad ones get a sentence, and it is for its owner alone."""

import contextlib
import json
import resource
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.agent.control import client as control_client
from launchd.agent.control import exchange
from launchd.agent.control.client import SOCKET_NAME, ControlError, NoAnswer, ask
from launchd.agent.control.exchange import MAX_REQUEST_BYTES, Stage
from launchd.agent.control.server import MOST_CLIENTS, ControlServer
from launchd.agent.events import ControlRequest, EventQueue
from tests.support.waiting import wait_until


@pytest.fixture
def socket_directory(tmp_path: Path) -> Iterator[Path]:
    events = EventQueue()
    server = ControlServer(tmp_path, events)
    server.open()
    ended = threading.Event()

    def answer_for_ever() -> None:
        while not ended.is_set():
            for event in events.take_all():
                assert isinstance(event, ControlRequest)
                event.reply.put({"ok": True, "heard": event.request})

    threading.Thread(target=answer_for_ever, daemon=True).start()
    yield tmp_path
    ended.set()
    server.close()


def send(directory: Path, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / SOCKET_NAME))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return client.recv(65536)


def test_a_request_is_answered(socket_directory: Path) -> None:
    assert ask(socket_directory, {"command": "status"}) == {"ok": True, "heard": {"command": "status"}}


def test_an_agent_that_hangs_is_told_from_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(control_client, "CLIENT_SECONDS", 0.05)
    with pytest.raises(NoAnswer, match=r"^No agent runs here "):
        ask(tmp_path, {"command": "status"})
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(tmp_path / SOCKET_NAME))
        hanging.listen()
        with pytest.raises(NoAnswer, match=r"did not answer: timed out\. If it hangs, restart it"):
            ask(tmp_path, {"command": "status"})


@pytest.mark.parametrize("data", [b"hello\n", b"[1]\n", b"\xff\xfe\n", b"\n"])
def test_garbage_gets_a_sentence(socket_directory: Path, data: bytes) -> None:
    answer = json.loads(send(socket_directory, data))
    assert not answer["ok"]
    assert answer["error"].startswith("The request is no JSON")


def flood(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(directory / SOCKET_NAME))
        for _ in range(100):
            client.sendall(b"x" * MAX_REQUEST_BYTES)


def test_a_flood_is_cut_off_and_the_next_client_served(socket_directory: Path) -> None:
    with pytest.raises(ConnectionError):
        flood(socket_directory)
    assert ask(socket_directory, {"command": "status"})["ok"]


@contextlib.contextmanager
def dripping(directory: Path, number: int) -> Iterator[None]:
    """Clients that have sent the beginning of a request."""
    with contextlib.ExitStack() as opened:
        for _ in range(number):
            client = opened.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(directory / SOCKET_NAME))
            client.sendall(b"{")
        yield


@pytest.mark.parametrize("number", [1, MOST_CLIENTS, 500])
def test_clients_that_send_drop_by_drop_keep_no_other_one_waiting(socket_directory: Path, number: int) -> None:
    with dripping(socket_directory, number):
        begun = time.monotonic()
        assert ask(socket_directory, {"command": "status"})["ok"]
        assert time.monotonic() - begun < control_client.CLIENT_SECONDS


def test_a_request_has_a_deadline_as_a_whole(socket_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exchange._SECONDS, Stage.REQUEST, 0.5)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_directory / SOCKET_NAME))
        begun = time.monotonic()

        def is_cut_off() -> bool:
            assert time.monotonic() - begun < 5, "each drop is soon enough"
            try:
                client.sendall(b" ")
            except OSError:
                return True
            return False

        wait_until(is_cut_off, what="the client is cut off")


def test_a_client_that_does_not_read_keeps_no_other_one_waiting(socket_directory: Path) -> None:
    request = json.dumps({"ids": ["x" * 100] * 500}).encode() + b"\n"
    with contextlib.ExitStack() as opened:
        for _ in range(2 * MOST_CLIENTS):
            client = opened.enter_context(socket.socket(socket.AF_UNIX))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.connect(str(socket_directory / SOCKET_NAME))
            client.sendall(request)
        assert ask(socket_directory, {"command": "status"})["ok"]


def test_an_agent_that_does_not_answer_is_waited_for_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(exchange._SECONDS, Stage.AGENT, 0.1)
    events = EventQueue()
    server = ControlServer(tmp_path, events)
    server.open()
    assert ask(tmp_path, {"command": "status"}) == {"ok": False, "error": "The agent did not answer within 10 s."}
    (request,) = events.take_all()
    assert isinstance(request, ControlRequest)
    request.reply.put({"ok": True})
    server.close()
    server.join(10)
    assert not server.is_alive(), "an answer that comes too late is for no client"


def test_clients_are_taken_again_after_a_lack_of_descriptors(
    socket_directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The descriptor for the first client was taken before it came.
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            for client in (first, second):
                client.connect(str(socket_directory / SOCKET_NAME))
                client.sendall(b'{"command": "status"}\n')
            wait_until(lambda: "No client of the control socket can be taken." in caplog.messages, what="the lack")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [json.loads(client.recv(65536))["ok"] for client in (first, second)] == [True, True]


def test_only_the_owner_may_connect(socket_directory: Path) -> None:
    mode = (socket_directory / SOCKET_NAME).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_where_no_agent_runs_the_sentence_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="launchd up"):
        ask(tmp_path, {"command": "status"})


def test_a_dead_agents_socket_is_no_agent(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / SOCKET_NAME))
    dead.close()
    with pytest.raises(ControlError, match="No agent runs here"):
        ask(tmp_path, {"command": "status"})
    server = ControlServer(tmp_path, EventQueue())
    server.open()
    wait_until(server.is_alive, what="the server took the dead one's place")
    server.close()


@pytest.mark.parametrize("word", ["command", "reason"])
def test_a_text_that_is_none_reaches_the_agent_as_one(socket_directory: Path, word: str) -> None:
    answer = ask(socket_directory, {"command": "stop", word: "d\udce9faut"})

    assert answer["heard"][word] == "d\ufffdfaut"


def test_texts_of_other_clients_are_made_plain_too(socket_directory: Path) -> None:
    answer = json.loads(send(socket_directory, b'{"reason": "d\\udce9faut", "ids": [1]}\n'))

    assert answer["heard"] == {"reason": "d\ufffdfaut", "ids": [1]}


def test_bytes_that_are_no_text_get_an_answer(socket_directory: Path) -> None:
    assert json.loads(send(socket_directory, b'{"reason": "d\xe9faut"}\n'))["error"] == "The request is no JSON."


def test_a_long_reason_is_cut_and_shows_it(socket_directory: Path) -> None:
    reason = ask(socket_directory, {"command": "stop", "reason": "x" * 100_000})["heard"]["reason"]

    assert reason.endswith("…")
    assert "x" * 1000 in reason
    assert len(reason) < 1300


def test_a_second_agent_leaves_the_socket_to_the_first(socket_directory: Path) -> None:
    second = ControlServer(socket_directory, EventQueue())

    with pytest.raises(ControlError, match=r"Another agent serves .* launchd\.runtime_dir of its own"):
        second.open()

    assert ask(socket_directory, {"command": "status"})["ok"]


def test_the_next_agent_takes_the_place_of_one_that_has_gone(tmp_path: Path) -> None:
    for _ in range(2):
        server = ControlServer(tmp_path, EventQueue())
        server.open()
        server.close()
