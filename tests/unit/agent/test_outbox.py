"""The outbox: what is undelivered on disk and in memory, which items that holds, and what may have been sent before."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from launchd.agent.deliveries import DeliveryBody, JobEnd, JobOutcome, JobWarning
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.outbox import Outbox
from launchd.agent.outbox_rows import Delivery, OutboxRows
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import HeldItem, Report
from tests.support.jobs import a_job

WARNING = JobWarning("m", "run")


class Sent:
    """In the place of the reporter: what it was given."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, bool]] = []

    def deliver(self, delivery: Delivery, *, sent_before: bool = False) -> None:
        self.rows.append((delivery.item_id, sent_before))


class OutboxOnDisk:
    """An outbox whose process can end and begin again. An item is the name of its rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self.journal = Journal(self._path)
        self.outbox, self.sent = Outbox(self.journal), Sent()

    def connect(self) -> None:
        self.outbox.connect(cast("Reporter", self.sent))

    def reopen(self) -> None:
        """End the process with what it had not committed, and begin the next one."""
        self.journal.close()
        self._open()

    def add(self, item: str, body: DeliveryBody | None = None, *, commit: bool = True) -> None:
        self.outbox.add(a_job(item), body or outcome(item), 1.0)
        if commit:
            self.journal.commit()

    def id_of(self, item: str) -> int:
        """Return the id of the last row of an item."""
        letters = [letter.delivery for letter in self.outbox.refused_deliveries()]
        return max(row.id for row in (*self.outbox.undelivered(), *letters) if row.item_id == item)

    def delivered(self, item: str) -> None:
        self.outbox.delivered((self.id_of(item),))
        self.journal.commit()

    def refused(self, item: str, *, commit: bool = True) -> None:
        self.outbox.refused((self.id_of(item),), "It says no.", 2.0)
        if commit:
            self.journal.commit()

    def waiting(self) -> list[str]:
        return [row.item_id for row in self.outbox.undelivered()]

    def dead(self) -> list[str]:
        return [letter.delivery.item_id for letter in self.outbox.refused_deliveries()]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[OutboxOnDisk]:
    opened = OutboxOnDisk(tmp_path / JOURNAL_FILE)
    yield opened
    opened.journal.close()


def outcome(item: str, lease: int | None = None, run: str | None = None) -> JobOutcome:
    end = None if run is None else JobEnd("me", "p", run, "/nonexistent", ran=True)
    return JobOutcome(Report(item, 1, "finished", lease=lease), end)


# -- on disk


def test_it_keeps_its_order_and_forgets_what_arrived(disk: OutboxOnDisk) -> None:
    for item in ("a", "b", "c"):
        disk.add(item)
    disk.delivered("a")
    disk.reopen()
    assert (disk.waiting(), disk.outbox.waiting) == (["b", "c"], 2)


def test_numbers_of_rows_are_not_used_twice_after_a_restart(disk: OutboxOnDisk) -> None:
    disk.add("a")
    disk.reopen()
    disk.add("b")
    assert disk.id_of("b") > disk.id_of("a")


def test_what_the_server_refused_is_kept_and_can_be_sent_again(disk: OutboxOnDisk) -> None:
    disk.add("a")
    disk.refused("a")
    disk.reopen()
    (letter,) = disk.outbox.refused_deliveries()
    assert (letter.delivery.item_id, letter.refused_at, letter.reason) == ("a", 2.0, "It says no.")
    assert (disk.waiting(), disk.outbox.waiting, disk.outbox.count_refused()) == ([], 0, 1)
    assert disk.outbox.retry([letter.delivery.id + 1]) == 0
    assert disk.outbox.retry(None) == 1
    assert disk.journal.commit_requested, "what is asked next is answered from the disk"
    disk.journal.commit()
    assert (disk.waiting(), disk.dead()) == (["a"], [])


def test_a_delivered_outcome_makes_the_refused_ones_of_its_item_meaningless(disk: OutboxOnDisk) -> None:
    disk.add("a")
    first = disk.id_of("a")
    disk.add("a", WARNING)
    warning = disk.id_of("a")
    disk.add("b")
    disk.add("a")
    disk.outbox.refused((warning, disk.id_of("b")), "No.", 2.0)
    disk.journal.commit()
    disk.outbox.refused((first,), "An earlier lease.", 2.0)
    disk.outbox.delivered((disk.id_of("a"),))
    disk.journal.commit()
    assert [letter.delivery.id for letter in disk.outbox.refused_deliveries()] == [warning, disk.id_of("b")]


# -- in memory


def test_the_items_of_undelivered_outcomes_are_held(disk: OutboxOnDisk) -> None:
    OutboxRows(disk.journal).add(a_job("damaged"), "outcome", {}, 1.0)
    disk.journal.commit()
    disk.reopen()
    disk.add("a", outcome("a", 4, "run-a"))
    disk.add("b", WARNING)
    disk.add("c")
    held = HeldItem("a", 4, "run-a", acknowledged=True), HeldItem("c", 0, None, acknowledged=True)
    assert disk.outbox.held() == held
    disk.reopen()
    assert disk.outbox.held() == held
    disk.delivered("a")
    disk.delivered("damaged")
    disk.refused("c")
    assert (disk.outbox.held(), disk.outbox.waiting) == ((), 1)


def test_what_waits_for_the_disk_is_held_and_counted_and_not_sent(disk: OutboxOnDisk) -> None:
    disk.connect()
    disk.journal._db.execute("PRAGMA query_only = ON")
    disk.add("a", commit=False)
    with pytest.raises(JournalError):
        disk.journal.commit()
    assert (disk.outbox.waiting, disk.outbox.oldest_at, disk.sent.rows) == (1, 1.0, [])
    assert disk.outbox.has_outcome("a", 0)
    disk.journal._db.execute("PRAGMA query_only = OFF")
    disk.journal.commit()
    assert (disk.outbox.waiting, disk.sent.rows) == (1, [("a", False)])


def test_an_outcome_is_undelivered_or_a_dead_letter_at_every_moment(disk: OutboxOnDisk) -> None:
    disk.add("a", outcome("a", 4))
    disk.refused("a", commit=False)
    assert (disk.outbox.has_outcome("a", 4), disk.outbox.has_refused_outcome("a", 4)) == (True, False)
    disk.journal.commit()
    assert (disk.outbox.has_outcome("a", 4), disk.outbox.has_refused_outcome("a", 4)) == (False, True)
    assert not disk.outbox.has_refused_outcome("a", 5)
    disk.outbox.retry_outcomes("a", 5)
    assert not disk.outbox.has_outcome("a", 4)
    disk.outbox.retry_outcomes("a", 4)
    assert disk.outbox.has_outcome("a", 4)


def test_its_version_changes_with_its_rows(disk: OutboxOnDisk) -> None:
    versions = [disk.outbox.version]
    for change in (disk.add, disk.add, disk.delivered, disk.refused):
        change("a")
        versions.append(disk.outbox.version)
    disk.outbox.retry(None)
    versions.append(disk.outbox.version)
    assert versions == sorted(set(versions))


def test_rows_of_an_earlier_process_and_those_that_are_retried_may_have_arrived(disk: OutboxOnDisk) -> None:
    disk.add("a")
    disk.reopen()
    disk.add("b")
    disk.connect()
    disk.connect()
    disk.add("c")
    disk.refused("c")
    disk.outbox.retry(None)
    assert disk.sent.rows == [("a", True), ("b", False), ("c", False), ("c", True)]
