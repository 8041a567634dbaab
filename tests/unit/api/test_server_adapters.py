"""What a caller hands over to its agent, and the orders it gives."""

import threading

from launchd.api.embedded.server_adapters import ItemHandover, ProgramQueue
from launchd.client.queue_server import Ack, ClaimedItem, Report

JOB, OTHER = ClaimedItem("job", "", {"project": "p"}), ClaimedItem("other", "", {"project": "p"})
SCHEDULER = ClaimedItem("scheduler", "", {"uri": "placeholder-uri-scheduler"})


def test_each_kind_is_taken_as_far_as_there_is_room() -> None:
    handover = ItemHandover()
    for item in (JOB, SCHEDULER, OTHER):
        handover.offer(item)

    assert handover.take(1, 0, 0) == (JOB,)
    assert handover.take(0, 5, 0) == (SCHEDULER,)
    assert handover.take(5, 5, 0) == (OTHER,)
    assert handover.take(5, 5, 0) == ()


def test_who_waits_is_woken() -> None:
    handover = ItemHandover()
    taken: list[tuple[ClaimedItem, ...]] = []
    waiting = threading.Thread(target=lambda: taken.append(handover.take(1, 0, 30)))
    waiting.start()

    handover.offer(SCHEDULER)
    handover.offer(JOB)
    waiting.join(10)

    assert taken == [(JOB,)]


def test_an_order_to_stop_stands_until_it_is_seen_or_the_job_is_over() -> None:
    handover = ItemHandover()
    handover.stop("job", "enough")

    assert [(order.item_id, order.reason) for order in handover.orders([], 0).stops] == [("job", "enough")]
    assert handover.orders(["job"], 0).stops == ()
    handover.note_end("job")
    assert handover.orders([], 0).stops == ()
    handover.stop("job", "too late")
    assert handover.orders([], 0).stops == ()


def test_the_end_is_an_order_too() -> None:
    handover = ItemHandover()
    assert not handover.orders([], 0).stop_polling

    handover.end()

    assert handover.orders([], 30).stop_polling


def test_what_is_handed_over_waits_for_the_permission_to_claim_no_longer_than_that() -> None:
    handover = ItemHandover()
    waiting = threading.Thread(target=lambda: handover.take(1, 1, 30))
    waiting.start()

    handover.start_claiming()
    waiting.join(10)

    assert not waiting.is_alive()


def test_a_callers_queue_passes_reports_on() -> None:
    heard: list[Report] = []
    queue = ProgramQueue("http://127.0.0.1:9", "k" * 40, ItemHandover(), heard.append)
    report = Report("job", 1, "running")

    assert queue.capabilities().launchd_protocol
    assert queue.ack_many("caller", [Ack("job", "run1")]) == {"job": True}
    assert queue.report_many("caller", [report]) == {"job": True}
    assert heard == [report]
