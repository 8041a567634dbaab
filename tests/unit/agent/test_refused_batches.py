"""What is refused as a whole, or answered by a proxy, says nothing of the rows in it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from launchd.agent.deliveries import JobOutcome
from launchd.agent.events import Registered
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.launchd_reports import LaunchdItemReporter
from launchd.agent.server_link.protocol import Acknowledgement, DeliveryAttempt, LinkContext
from launchd.agent.server_link.retry import RetryingCaller
from launchd.client.base import CURRENT_WANDB
from launchd.client.queue_server import ItemAnswer, QueueServer, Report
from tests.support.recorded_events import RecordedEvents
from tests.support.threads import link_settings
from tests.unit.client.scripted_server import KEY, Reply, Request, data, errors, scripted_server

pytestmark = pytest.mark.usefixtures("quick_retries")

CAPABILITIES = msgspec.structs.replace(CURRENT_WANDB, launchd_protocol=True)


@contextmanager
def reporter_at(answer: Callable[[Request], Reply], events: RecordedEvents) -> Iterator[LaunchdItemReporter]:
    with scripted_server(answer) as running:
        client = QueueServer(running.url, KEY)
        registered = Registered("agent", "name", "me", ("a",), CAPABILITIES)
        caller = RetryingCaller(events.queue, threading.Event())
        yield LaunchdItemReporter(client, LinkContext(registered, link_settings(), events.queue, caller))
        client.close()


def items_of(request: Request) -> list[str]:
    given = request.variables["input"]
    return [one["runQueueItemId"] for one in given.get("reports") or given["acks"]]


def taken(request: Request) -> Reply:
    return data({"results": [{"runQueueItemId": item, "answer": "TAKEN"} for item in items_of(request)]})


def outcome(number: int, item: str) -> DeliveryAttempt:
    body = msgspec.json.encode(JobOutcome(Report(item, 1, "finished"))).decode()
    return DeliveryAttempt(Delivery(number, item, "agent", "outcome", body, 0.0))


OUTCOMES = [outcome(number, "bad" if number == 3 else f"item-{number}") for number in range(1, 6)]


def test_one_outcome_that_is_refused_costs_no_other_its_delivery(recorded_events: RecordedEvents) -> None:
    def answer(request: Request) -> Reply:
        return errors(400, "an integer is too large") if "bad" in items_of(request) else taken(request)

    with reporter_at(answer, recorded_events) as reporter:
        results = list(reporter.report_outcomes(OUTCOMES))
    assert [(result.ids, result.refusal is None) for result in results] == [((1, 2, 4, 5), True), ((3,), False)]


def test_one_item_that_cannot_be_acknowledged_costs_no_other_its_acknowledgement(
    recorded_events: RecordedEvents,
) -> None:
    def answer(request: Request) -> Reply:
        return errors(400, "no such project") if "bad" in items_of(request) else taken(request)

    acknowledgements = [Acknowledgement(item, "agent", "run", "me", "tests", "a") for item in ("one", "bad", "two")]
    with reporter_at(answer, recorded_events) as reporter:
        answers = {item: (one.answer, one.message) for item, one in reporter.acknowledge(acknowledgements).items()}
    assert answers == {
        "one": (ItemAnswer.TAKEN, None),
        "bad": (ItemAnswer.REFUSED, "no such project"),
        "two": (ItemAnswer.TAKEN, None),
    }


@pytest.mark.parametrize(
    "foreign",
    [
        Reply(302, headers={"Location": "https://login"}),
        Reply(404, b'{"error": "not found"}'),
        Reply(404, b"<html>no such page</html>"),
        Reply(500, b"out of order"),
        Reply(200, b"<html>log in first</html>"),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:9]!r}",
)
def test_what_a_proxy_answers_costs_no_outcome(recorded_events: RecordedEvents, foreign: Reply) -> None:
    answers = iter([foreign] * 7)
    with reporter_at(lambda request: next(answers, None) or taken(request), recorded_events) as reporter:
        results = list(reporter.report_outcomes(OUTCOMES))
    assert [(result.ids, result.refusal) for result in results] == [((1, 2, 3, 4, 5), None)]
