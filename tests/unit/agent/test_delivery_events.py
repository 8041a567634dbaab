"""What the queue server made of rows of the outbox: an error over one is not the last word, and costs no other row."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.agent import delivery_events
from launchd.agent.deliveries import JobWarning
from launchd.agent.delivery_events import DeliveryEvents
from launchd.agent.events import Delivered, Undeliverable
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.outbox import Outbox
from tests.support.jobs import a_job


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / JOURNAL_FILE)
    yield opened
    opened.close()


@pytest.fixture
def outbox(journal: Journal) -> Outbox:
    outbox = Outbox(journal)
    for item in ("a", "b", "c"):
        outbox.add(a_job(item), JobWarning("m", "run"), 1.0)
    journal.commit()
    return outbox


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that the outbox, for a fault of its own, does not forget; the test mends it by taking them out."""
    rows: list[int] = []
    forget = Outbox.delivered

    def delivered(outbox: Outbox, ids: tuple[int, ...]) -> None:
        if set(rows) & set(ids):
            raise ZeroDivisionError(ids)
        forget(outbox, ids)

    monkeypatch.setattr(Outbox, "delivered", delivered)
    return rows


def test_a_row_is_forgotten_later_where_an_error_kept_it(outbox: Outbox, broken: list[int]) -> None:
    events = DeliveryEvents(outbox)
    broken += [1, 2]
    for row in (1, 2):
        with pytest.raises(ZeroDivisionError):
            events.on_event(Delivered((row,)))
    events.on_event(Delivered((3,)))
    assert outbox.waiting == 2
    broken.remove(2)
    with pytest.raises(ZeroDivisionError):
        events.take_up()
    assert outbox.waiting == 1, "an error over one row costs no other one"
    broken.clear()
    events.take_up()
    assert outbox.waiting == 0


def test_what_was_acted_on_is_not_acted_on_again(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    monkeypatch.setattr(delivery_events, "hit", reached.append)
    events = DeliveryEvents(outbox)
    events.on_event(Delivered((1,)))
    events.take_up()
    assert reached == ["supervisor.reported"]


def test_a_refusal_that_is_no_text_makes_a_dead_letter_all_the_same(outbox: Outbox, journal: Journal) -> None:
    DeliveryEvents(outbox).on_event(Undeliverable((1,), "no \ud800 such"))
    journal.commit()
    (letter,) = outbox.refused_deliveries()
    assert (letter.delivery.id, letter.reason, outbox.waiting) == (1, "no � such", 2)
