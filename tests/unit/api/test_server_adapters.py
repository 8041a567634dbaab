"""Requests of a program to its agent: items, stops, the start of claims, the end."""

import threading

from launchd.api.embedded.server_adapters import ProgramQueue, ProgramRequests
from launchd.client.queue_server import Ack, ClaimedItem, HeldItem, ItemAnswer, ItemResult, Report, StopRequest
from tests.support.threads import IDENTITY

JOB, OTHER = ClaimedItem("job", "", {"project": "p"}), ClaimedItem("other", "", {"project": "p"})
SCHEDULER = ClaimedItem("scheduler", "", {"uri": "placeholder-uri-scheduler"})


def test_items_of_each_kind_are_taken_while_slots_are_free() -> None:
    requests = ProgramRequests()
    for item in (JOB, SCHEDULER, OTHER):
        requests.add(item)

    assert requests.take_items(1, 0, 0) == (JOB,)
    assert requests.take_items(0, 5, 0) == (SCHEDULER,)
    assert requests.take_items(5, 5, 0) == (OTHER,)
    assert requests.take_items(5, 5, 0) == ()


def test_a_waiting_claim_is_woken() -> None:
    requests = ProgramRequests()
    results: list[tuple[ClaimedItem, ...]] = []
    waiting = threading.Thread(target=lambda: results.append(requests.take_items(1, 0, 30)))
    waiting.start()

    requests.add(SCHEDULER)
    requests.add(JOB)
    waiting.join(10)

    assert results == [(JOB,)]


def test_a_stop_request_lasts_until_it_is_seen_or_the_job_is_over() -> None:
    requests = ProgramRequests()
    requests.stop("job", "enough")

    assert requests.wait_commands([], 0).stops == (StopRequest("job", "enough"),)
    assert requests.wait_commands(["job"], 0).stops == ()
    requests.mark_finished("job")
    assert requests.wait_commands([], 0).stops == ()
    requests.stop("job", "too late")
    assert requests.wait_commands([], 0).stops == ()


def test_the_end_is_a_command_too() -> None:
    requests = ProgramRequests()
    assert not requests.wait_commands([], 0).stop_polling

    requests.shut_down()

    assert requests.wait_commands([], 30).stop_polling


def test_a_waiting_claim_ends_when_claims_start() -> None:
    requests = ProgramRequests()
    waiting = threading.Thread(target=lambda: requests.take_items(1, 1, 30))
    waiting.start()

    requests.start_claiming()
    waiting.join(10)

    assert not waiting.is_alive()


def test_a_programs_queue_passes_reports_on() -> None:
    reports: list[Report] = []
    queue = ProgramQueue("http://127.0.0.1:9", "k" * 40, ProgramRequests(), reports.append)
    report = Report("job", 1, "running")

    assert queue.capabilities().launchd_protocol
    taken = {"job": ItemResult("job", ItemAnswer.TAKEN)}
    assert queue.ack_many("caller", [Ack("job", "run1")]) == taken
    assert queue.report_many("caller", [report]) == taken
    resumed = queue.resume_agent("caller", IDENTITY, [HeldItem("job", 0, "run1", acknowledged=True)])
    assert (resumed.results, resumed.unknown_to_agent) == ((taken["job"],), ())
    assert reports == [report]
