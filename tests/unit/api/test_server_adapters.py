"""Requests of a program to its agent: items, stops, the start of claims, the end."""

import threading

from launchd.api.embedded.server_adapters import ProgramQueue, ProgramRequests, StandbyServer
from launchd.client.queue_server import Ack, ClaimedItem, HeldItem, ItemAnswer, ItemResult, Report, StopRequest
from tests.support.threads import IDENTITY

JOB, OTHER = ClaimedItem("job", "", {"project": "p"}), ClaimedItem("other", "", {"project": "p"})
SCHEDULER = ClaimedItem("scheduler", "", {"uri": "placeholder-uri-scheduler"})


def kept_by(requests: ProgramRequests) -> list[object]:
    """Return what a collection of it holds."""
    return [kept for kept in vars(requests).values() if isinstance(kept, list | dict | set) and kept]


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
    requests.add(JOB)
    requests.stop("job", "enough")

    assert requests.wait_commands([], 0).stops == (StopRequest("job", "enough"),)
    assert requests.wait_commands(["job"], 0).stops == ()
    requests.forget("job")
    assert requests.wait_commands([], 0).stops == ()
    requests.stop("job", "too late")
    assert requests.wait_commands([], 0).stops == ()


def test_all_that_is_not_over_is_stopped_at_once() -> None:
    requests = ProgramRequests()
    requests.add(JOB)
    requests.add(OTHER)
    requests.take_items(2, 0, 0)
    requests.forget("job")
    requests.stop_all("the end")
    assert requests.wait_commands([], 0).stops == (StopRequest("other", "the end"),)


def test_nothing_is_kept_of_items_that_are_over() -> None:
    requests = ProgramRequests()
    for number in range(100):
        requests.add(ClaimedItem(str(number), "", {}))
        requests.take_items(1, 0, 0)
        requests.stop(str(number), "enough")
        requests.forget(str(number))
        requests.stop(str(number), "too late")
    assert kept_by(requests) == []


def test_nothing_is_kept_of_items_that_the_real_server_knows() -> None:
    requests = ProgramRequests()
    server = StandbyServer("http://127.0.0.1:9", "k" * 40, requests)
    requests.add(JOB)
    requests.add(OTHER)
    assert server.claim("agent", "", "claim", 1, 0, 0).items == (JOB,)
    assert server.pop("me", "default", "agent") == OTHER
    assert kept_by(requests) == []


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
