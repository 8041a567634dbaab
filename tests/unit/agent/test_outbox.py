"""The outbox: which rows are undelivered, which items they hold, and which of them may have been sent before."""

import json
from typing import cast

from launchd.agent.deliveries import DeliveryBody, JobEnd, JobOutcome, JobWarning, body_fields
from launchd.agent.outbox import Outbox
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import HeldItem, Report


class Sent:
    """In the place of the reporter: what it was given."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, bool]] = []

    def deliver(self, delivery: Delivery, *, sent_before: bool = False) -> None:
        self.rows.append((delivery.id, sent_before))


def row(number: int, item: str, body: DeliveryBody) -> Delivery:
    return Delivery(number, item, "agent-1", body.kind, json.dumps(body_fields(body)), 0.0)


def outcome(number: int, item: str, lease: int | None = None, run: str | None = None) -> Delivery:
    end = None if run is None else JobEnd("me", "p", run, "/nonexistent", ran=True)
    return row(number, item, JobOutcome(Report(item, 1, "finished", lease=lease), end))


def test_the_items_of_undelivered_outcomes_are_held() -> None:
    outbox = Outbox([outcome(1, "a", 4, "run-a"), row(2, "b", JobWarning("m", "run"))])
    outbox.deliver(outcome(3, "c"))
    outbox.deliver(Delivery(4, "damaged", "agent-1", "outcome", "no JSON", 0.0))
    held = HeldItem("a", 4, "run-a", acknowledged=True), HeldItem("c", 0, None, acknowledged=True)
    assert outbox.held() == held
    outbox.delivered((1, 4))
    outbox.refused((3,))
    assert (outbox.held(), outbox.waiting) == ((), 1)


def test_its_version_changes_with_its_rows() -> None:
    outbox = Outbox([outcome(1, "a")])
    versions = [outbox.version]
    outbox.deliver(outcome(2, "b"))
    versions.append(outbox.version)
    outbox.delivered((1,))
    versions.append(outbox.version)
    outbox.refused((2,))
    versions.append(outbox.version)
    outbox.retry([outcome(2, "b")])
    versions.append(outbox.version)
    assert len(set(versions)) == 5


def test_rows_of_an_earlier_process_and_those_that_are_retried_may_have_arrived() -> None:
    outbox, sent = Outbox([outcome(7, "a")]), Sent()
    outbox.deliver(outcome(8, "b"))
    outbox.connect(cast("Reporter", sent))
    outbox.connect(cast("Reporter", sent))
    outbox.deliver(outcome(9, "c"))
    outbox.refused((9,))
    outbox.retry([outcome(9, "c")])
    assert sent.rows == [(7, True), (8, False), (9, False), (9, True)]
