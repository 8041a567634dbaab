"""The socket between workers and the process that asks a cloud for them: who is answered, and what a failure is."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from workers import request_service
from workers.request_service import NoService, NoServiceAnswer, RequestServer, ask

Serve = Callable[[request_service.Answer], str]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def serve(place: Path) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(answer: request_service.Answer) -> str:
            stack.enter_context(RequestServer(place, answer))
            return str(place)

        yield start


def test_a_long_question_has_a_long_answer(serve: Serve) -> None:
    path = serve(lambda content: content[::-1] * 2)

    assert ask(path, b"ab" * 2_000_000, changes=True) == b"ba" * 4_000_000


def test_one_that_waits_long_keeps_nobody_waiting(serve: Serve) -> None:
    free, taken = threading.Event(), threading.Semaphore(0)

    def answer(content: bytes) -> bytes:
        if content == b"slow":
            taken.release()
            assert free.wait(30)
        return content

    path = serve(answer)
    answers: list[bytes] = []
    waiting = [threading.Thread(target=lambda: answers.append(ask(path, b"slow", changes=True))) for _ in range(100)]
    for thread in waiting:
        thread.start()
    for _ in waiting:
        assert taken.acquire(timeout=30)

    assert ask(path, b"quick", changes=True) == b"quick"
    free.set()
    for thread in waiting:
        thread.join()
    assert answers == [b"slow"] * 100


def test_a_process_that_is_being_started_is_waited_for(place: Path) -> None:
    place.touch()
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(ask(str(place), b"1", changes=True)))
    asking.start()

    with RequestServer(place, lambda content: content + b"2"):
        asking.join(30)

    assert answers == [b"12"]


def test_what_is_noted_before_a_question_is_noted_when_the_process_is_there(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_service, "START_SECONDS", 0.2)
    said: list[str] = []
    with pytest.raises(NoService):
        ask(str(place), b"1", changes=True, asking=lambda: said.append("noted"))
    assert said == []

    def answer(content: bytes) -> bytes:
        said.append("asked")
        return content

    def fail() -> None:
        raise OSError("full")

    with RequestServer(place, answer):
        ask(str(place), b"1", changes=True, asking=lambda: said.append("noted"))
        with pytest.raises(OSError, match="full"):
            ask(str(place), b"1", changes=True, asking=fail)
    assert said == ["noted", "asked"]


def test_where_there_is_no_process_nothing_was_done(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_service, "START_SECONDS", 0.2)

    with pytest.raises(NoService, match="could not be reached: No such file"):
        ask(str(place), b"1", changes=True)


def test_a_socket_that_was_removed_or_replaced_is_noticed(place: Path) -> None:
    with RequestServer(place, lambda content: content) as first:
        assert first.is_reachable()
        place.unlink()
        assert not first.is_reachable()
        with RequestServer(place, lambda content: content) as second:
            assert second.is_reachable()
            assert not first.is_reachable()


def test_an_error_costs_one_worker_its_answer(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def answer(content: bytes) -> bytes:
        return {b"good": b"yes"}[content]

    path = serve(answer)

    with pytest.raises(NoServiceAnswer, match="ended before it had answered"):
        ask(path, b"bad", changes=True)
    assert ask(path, b"good", changes=True) == b"yes"
    assert "KeyError" in caplog.text


def test_a_question_that_changes_nothing_is_asked_again(serve: Serve) -> None:
    asked: list[bytes] = []

    def answer(content: bytes) -> bytes:
        asked.append(content)
        if len(asked) % 3:
            raise ConnectionError("as if the process ended")
        return b"yes"

    path = serve(answer)

    assert ask(path, b"1", changes=False) == b"yes"
    with pytest.raises(NoServiceAnswer):
        ask(path, b"2", changes=True)
    assert asked == [b"1", b"1", b"1", b"2"]


def test_an_answer_that_takes_too_long_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_service, "ANSWER_SECONDS", 0.1)
    free = threading.Event()
    path = serve(lambda _: str(free.wait(30)).encode())

    with pytest.raises(NoServiceAnswer, match=r"did not answer within 0\.1 s"):
        ask(path, b"1", changes=True)
    free.set()


def test_a_worker_that_has_left_is_not_served(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    looked: list[bool] = []
    is_left = request_service._is_left
    monkeypatch.setattr(request_service, "_is_left", lambda asking: looked.append(is_left(asking)) or looked[-1])

    def answer(content: bytes) -> bytes:
        asked.append(content)
        return b""

    server = RequestServer(place, answer)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.connect(str(place))
        request_service._send(dead, b"of a dead worker")

    with server:
        ask(str(place), b"of a living one", changes=True)
        wait_until(lambda: len(looked) == 2, 10, "both were looked at")

    assert sorted(looked) == [False, True]
    assert asked == [b"of a living one"]


def test_another_user_is_not_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    path = serve(lambda content: content)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    own = request_service._user_of
    monkeypatch.setattr(request_service, "_user_of", lambda peer: own(peer) + 1)

    with pytest.raises(NoServiceAnswer):
        ask(path, b"1", changes=True)


def test_a_question_longer_than_any_is_not_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_service, "MOST_BYTES", 1000)
    path = serve(lambda content: content)

    with pytest.raises(NoServiceAnswer):
        ask(path, b"1" * 1001, changes=True)
    assert ask(path, b"1" * 1000, changes=True) == b"1" * 1000
