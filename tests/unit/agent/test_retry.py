"""Asking until there is an answer: which errors end it, how long it waits, and what the main thread hears of it."""

import threading
import time
from collections.abc import Callable

import pytest

from launchd.agent.events import ServerContact
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import QueueServerError, Refused, ServerBusy, ServerUnreachable, Unauthorized
from tests.support.recorded_events import RecordedEvents
from tests.support.waiting import wait_until


def answers(*errors: QueueServerError) -> Callable[[], str]:
    """Return a question that fails with each error, one after the other, and is then answered."""
    left = list(errors)

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return ask


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def caller(recorded_events: RecordedEvents, ended: threading.Event) -> RetryingCaller:
    return RetryingCaller(recorded_events.queue, ended)


@pytest.mark.usefixtures("quick_retries")
def test_it_asks_until_there_is_an_answer(recorded_events: RecordedEvents, ended: threading.Event) -> None:
    away, busy = ServerUnreachable("It is away."), ServerBusy("It is busy.", None)
    assert RetryingCaller(recorded_events.queue, ended).retry_forever(answers(away, away, busy)) == "answer"
    assert [contact.error for contact in recorded_events.of(ServerContact)] == ["It is away.", "It is busy.", None]


def test_a_refusal_is_an_answer(caller: RetryingCaller, recorded_events: RecordedEvents) -> None:
    with pytest.raises(Refused):
        caller.retry_forever(answers(Refused("No.")))
    assert [contact.error for contact in recorded_events.of(ServerContact)] == [None]


def test_a_refused_key_ends_it_only_where_a_person_is_there_to_hear(
    caller: RetryingCaller, recorded_events: RecordedEvents, ended: threading.Event
) -> None:
    with pytest.raises(Unauthorized):
        caller.retry_forever(answers(Unauthorized("Wrong key.")), final=(Refused, Unauthorized))
    thread = threading.Thread(target=swallow_end, args=(caller, answers(Unauthorized("Wrong key."))))
    thread.start()
    wait_until(
        lambda: [contact.error for contact in recorded_events.of(ServerContact)][-1] == "Wrong key.", what="it is told"
    )
    assert thread.is_alive()
    ended.set()
    thread.join(5.0)
    assert not thread.is_alive()


def swallow_end(caller: RetryingCaller, ask: Callable[[], str]) -> None:
    with pytest.raises(Stopped):
        caller.retry_forever(ask)


def test_pauses_grow_and_are_short_again_after_an_answer(caller: RetryingCaller) -> None:
    begun = time.monotonic()
    caller.retry_forever(answers(*[ServerUnreachable("Away.")] * 3))
    grown = time.monotonic() - begun
    begun = time.monotonic()
    caller.retry_forever(answers(ServerUnreachable("Away.")))
    assert grown >= 0.8 * (0.2 + 0.4 + 0.8)
    # The next one of the grown would be of 1.28 s at least.
    assert time.monotonic() - begun < 1.2


def test_a_busy_server_says_itself_how_long_to_wait(caller: RetryingCaller) -> None:
    begun = time.monotonic()
    caller.retry_forever(answers(ServerBusy("Busy.", 0.6)))
    assert 0.6 <= time.monotonic() - begun < 3.0


def test_an_answer_that_changes_nothing_is_no_news(caller: RetryingCaller, recorded_events: RecordedEvents) -> None:
    for _ in range(50):
        caller.retry_forever(answers())
    assert len(recorded_events.of(ServerContact)) == 1


def test_nothing_is_asked_after_the_end(caller: RetryingCaller, ended: threading.Event) -> None:
    ended.set()
    with pytest.raises(Stopped):
        caller.retry_forever(answers())


def test_what_an_administrator_has_to_correct_is_asked_less_and_less_often(
    caller: RetryingCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(caller, "wait", waited.append)
    for _ in range(8):
        caller.wait_for_correction()
    assert [round(seconds) for seconds in caller_pauses(waited)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert caller.call(answers()) == "answer"
    caller.wait_for_correction()
    assert waited[-1] < 3


def caller_pauses(waited: list[float]) -> list[float]:
    """Return the pauses in units of the first one, jitter taken out as far as it can be."""
    return [min((1, 2, 4, 8, 16, 30), key=lambda step: abs(seconds / 2 - step)) for seconds in waited]
