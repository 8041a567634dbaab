"""What a caller hands over to its agent, and the orders it gives."""

import threading

from launchd.api.embedded.server_adapters import ProgramQueue, ProgramRequests
from launchd.client.queue_server import Ack, ClaimedItem, Report

JOB, OTHER = ClaimedItem("job", "", {"project": "p"}), ClaimedItem("other", "", {"project": "p"})
SCHEDULER = ClaimedItem("scheduler", "", {"uri": "placeholder-uri-scheduler"})


def test_each_kind_is_taken_as_far_as_there_is_room() -> None:
    requests = ProgramRequests()
    for item in (JOB, SCHEDULER, OTHER):
        requests.add(item)

    assert requests.take_items(1, 0, 0) == (JOB,)
    assert requests.take_items(0, 5, 0) == (SCHEDULER,)
    assert requests.take_items(5, 5, 0) == (OTHER,)
    assert requests.take_items(5, 5, 0) == ()


def test_who_waits_is_woken() -> None:
    requests = ProgramRequests()
    taken: list[tuple[ClaimedItem, ...]] = []
    waiting = threading.Thread(target=lambda: taken.append(requests.take_items(1, 0, 30)))
    waiting.start()

    requests.add(SCHEDULER)
    requests.add(JOB)
    waiting.join(10)

    assert taken == [(JOB,)]


def test_an_order_to_stop_stands_until_it_is_seen_or_the_job_is_over() -> None:
    requests = ProgramRequests()
    requests.stop("job", "enough")

    assert [(order.item_id, order.reason) for order in requests.wait_commands([], 0).stops] == [("job", "enough")]
    assert requests.wait_commands(["job"], 0).stops == ()
    requests.mark_finished("job")
    assert requests.wait_commands([], 0).stops == ()
    requests.stop("job", "too late")
    assert requests.wait_commands([], 0).stops == ()


def test_the_end_is_an_order_too() -> None:
    requests = ProgramRequests()
    assert not requests.wait_commands([], 0).stop_polling

    requests.shut_down()

    assert requests.wait_commands([], 30).stop_polling


def test_what_is_handed_over_waits_for_the_permission_to_claim_no_longer_than_that() -> None:
    requests = ProgramRequests()
    waiting = threading.Thread(target=lambda: requests.take_items(1, 1, 30))
    waiting.start()

    requests.start_claiming()
    waiting.join(10)

    assert not waiting.is_alive()


def test_a_callers_queue_passes_reports_on() -> None:
    on_message: list[Report] = []
    queue = ProgramQueue("http://127.0.0.1:9", "k" * 40, ProgramRequests(), on_message.append)
    report = Report("job", 1, "running")

    assert queue.capabilities().launchd_protocol
    assert queue.ack_many("caller", [Ack("job", "run1")]) == {"job": True}
    assert queue.report_many("caller", [report]) == {"job": True}
    assert on_message == [report]
