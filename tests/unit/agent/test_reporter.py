"""The reporter: everything arrives, once, by the protocol of W&B's servers and by the launchd protocol."""

import itertools
import json
import threading

import pytest

from launchd.agent.events import Acknowledged, Delivered, RegistrationLost, ServerContact, Undeliverable
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link import launchd_reports
from launchd.agent.server_link.protocol import Acknowledgement, DeliveryAttempt
from launchd.agent.server_link.requeue import UnkeyedRequeue
from launchd.agent.server_link.retry import REFUSAL_ATTEMPTS, RetryingCaller
from launchd.client.errors import Refused
from launchd.client.queue_server import ItemAnswer, QueueServer, Report
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import known_agent, link_settings, make_reporter, reporting
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, Fault, WandbServer

_ids = itertools.count(1)


def outcome(item_id: str, status: str, agent_id: str = "agent-1", **more: object) -> Delivery:
    report = {"runQueueItemId": item_id, "sequence": 100, "status": status, **more}
    return Delivery(next(_ids), item_id, agent_id, "outcome", json.dumps(report), 0.0)


def warning(item_id: str) -> Delivery:
    return Delivery(next(_ids), item_id, "agent-1", "warning", '{"message": "m", "stage": "run"}', 0.0)


def ask_for(item_id: str, agent_id: str = "agent-1", sweep: str | None = None, lease: int = 0) -> Acknowledgement:
    return Acknowledgement(item_id, agent_id, f"run-{item_id}", ENTITY, "tests", "a", sweep, lease)


def leased_item(wandb: WandbServer, client: QueueServer) -> str:
    item_id = wandb.push("a")
    popped = client.pop(ENTITY, "a", "agent-1")
    assert popped is not None
    assert popped.item_id == item_id
    return item_id


# W&B's server.


def test_an_item_is_acknowledged_with_its_run(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.acknowledge(ask_for(item))
        assert recorded_events.wait_for(Acknowledged) == [Acknowledged(item, 0, ItemAnswer.TAKEN)]
    assert (wandb.items[item].state, wandb.items[item].run_id) == ("CLAIMED", f"run-{item}")


def test_an_item_that_another_agent_took_is_not_accepted(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    wandb_client.ack(item, "another-agents-run")
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.acknowledge(ask_for(item))
        (answer,) = recorded_events.wait_for(Acknowledged)
    assert answer.answer is ItemAnswer.LEASE_ENDED
    assert answer.message == (
        "The queue server did not take the acknowledgement: it has the item as CLAIMED as run another-agents-run."
    )


@pytest.mark.parametrize("status", ["finished", "stopped", "preempted"])
def test_wandbs_server_learns_of_success_from_the_run_itself(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, status: str
) -> None:
    item = leased_item(wandb, wandb_client)
    delivery = outcome(item, status)
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(delivery)
        assert recorded_events.wait_for(Delivered) == [Delivered((delivery.id,))]
    assert wandb.asked["failRunQueueItem"] == 0


def test_a_warning_goes_to_the_item(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    taken, refused = warning(item), warning("no-such-item")
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(taken)
        reporter.deliver(refused)
        assert recorded_events.wait_for(Delivered) == [Delivered((taken.id,))]
        sentence = "The queue server did not take a warning about item no-such-item."
        assert recorded_events.wait_for(Undeliverable) == [Undeliverable((refused.id,), sentence)]
    assert wandb.items[item].warnings == [("m", "run")]


def test_a_preempted_run_is_queued_again(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    body = {"entity": ENTITY, "queue": "b", "run_spec": {"run_id": "r", "_resume_count": 1}}
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(Delivery(next(_ids), "item", "agent-1", "requeue", json.dumps(body), 0.0))
        recorded_events.wait_for(Delivered)
    (item,) = wandb.items.values()
    assert (item.queue, item.run_spec["run_id"], item.run_spec["_resume_count"]) == ("b", "r", 1)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [("RUNNING", None), ("PAUSED", None), ("FINISHED", "The sweep s is finished"), (None, "The sweep s is unknown")],
)
def test_a_run_of_a_sweep_needs_a_living_sweep(
    wandb: WandbServer,
    wandb_client: QueueServer,
    recorded_events: RecordedEvents,
    state: str | None,
    sentence: str | None,
) -> None:
    item = leased_item(wandb, wandb_client)
    if state:
        wandb.sweeps["s"] = state
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.acknowledge(ask_for(item, sweep="s"))
        (answer,) = recorded_events.wait_for(Acknowledged)
    assert answer.answer is ItemAnswer.TAKEN
    assert (answer.refusal or "").startswith(sentence or "")
    assert bool(answer.refusal) is bool(sentence)


def test_acknowledgements_go_before_outcomes(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    items = [leased_item(wandb, wandb_client) for _ in range(3)]
    reporter = make_reporter(wandb_client, recorded_events)
    reporter.deliver(outcome(items[0], "failed", message="m", stage="run"))
    reporter.acknowledge(ask_for(items[1]))
    reporter.acknowledge(ask_for(items[2]))
    reporter.start()
    recorded_events.wait_for(Delivered)
    reporter.end()
    told = [operation for operation in wandb.history if operation in ("ackRunQueueItem", "failRunQueueItem")]
    assert told == ["ackRunQueueItem", "ackRunQueueItem", "failRunQueueItem"]


@pytest.mark.usefixtures("quick_retries")
def test_an_outage_is_told_once_and_so_is_its_end(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    with reporting(wandb_client, recorded_events) as reporter:
        wandb.break_operations(Fault.STATUS_500, "failRunQueueItem", times=4)
        reporter.deliver(outcome(item, "failed", message="m", stage="run"))
        recorded_events.wait_for(Delivered)
    assert [contact.error is None for contact in recorded_events.of(ServerContact)] == [False, True]


@pytest.mark.usefixtures("quick_retries")
def test_an_acknowledgement_that_was_taken_and_then_refused_is_taken(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    taken, refused = leased_item(wandb, wandb_client), leased_item(wandb, wandb_client)
    wandb_client.ack(taken, f"run-{taken}")
    wandb.refused.add("ackRunQueueItem")
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.acknowledge(ask_for(taken))
        reporter.acknowledge(ask_for(refused))
        answers = recorded_events.wait_for(Acknowledged, 2)
    assert [(answer.item_id, answer.answer) for answer in answers] == [
        (taken, ItemAnswer.TAKEN),
        (refused, ItemAnswer.REFUSED),
    ]
    assert answers[1].message


@pytest.mark.usefixtures("quick_retries")
def test_a_row_that_cannot_be_read_costs_no_other_its_delivery(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    bad = [
        Delivery(next(_ids), "item", "agent-1", kind, body, 0.0)
        for kind, body in [
            ("outcome", '{"report": 3}'),
            ("outcome", "no JSON"),
            ("warning", "{}"),
            ("requeue", "[]"),
            ("requeue", '{"entity": "me", "queue": "a", "run_spec": 3}'),
            ("later", "{}"),
        ]
    ]
    good = outcome(item, "finished")
    reporter = make_reporter(wandb_client, recorded_events)
    for delivery in (*bad[:2], good, *bad[2:]):
        reporter.deliver(delivery)
    reporter.start()
    recorded_events.wait_for(Undeliverable, len(bad))
    reporter.end()
    assert recorded_events.of(Delivered) == [Delivered((good.id,))]
    reasons = {delivery_id: one.reason for one in recorded_events.of(Undeliverable) for delivery_id in one.ids}
    assert sorted(reasons) == [one.id for one in bad]
    assert reasons[bad[-1].id] == "This version of launchd knows no row of the kind 'later'."
    assert reasons[bad[1].id].startswith("The row cannot be read or sent: DecodeError: ")


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("sent_before", [False, True])
def test_a_requeued_run_that_an_earlier_process_may_have_sent_is_looked_for(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, sent_before: bool
) -> None:
    """Whatever the clock says: a row is of an earlier process, or it is not."""
    for run in ("r", "r"):  # The preempted one, and the one that was put back.
        item = wandb.items[wandb.push("b")]
        item.state, item.run_id = "CLAIMED", run
    body = {"entity": ENTITY, "queue": "b", "run_spec": {"run_id": "r", "_resume_count": 1}}
    with reporting(wandb_client, recorded_events) as reporter:
        created_at = float("inf") if sent_before else 0.0
        delivery = Delivery(next(_ids), "item", "agent-1", "requeue", json.dumps(body), created_at)
        reporter.deliver(delivery, sent_before=sent_before)
        recorded_events.wait_for(Delivered)
    assert wandb.asked["pushToRunQueueByName"] == (0 if sent_before else 1)


@pytest.mark.usefixtures("quick_retries")
def test_of_a_requeued_run_nothing_is_kept_once_it_is_delivered_or_refused(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    body = {"entity": ENTITY, "queue": "b", "run_spec": {"run_id": "r", "_resume_count": 1}}
    caller = RetryingCaller(recorded_events.queue, threading.Event())
    requeue = UnkeyedRequeue(wandb_client, caller)
    row = Delivery(next(_ids), "item", "agent-1", "requeue", json.dumps(body), 0.0)
    assert requeue.requeue(DeliveryAttempt(row)) is None
    assert requeue._queue_items_before == {}
    wandb.refused.add("pushToRunQueueByName")
    with pytest.raises(Refused):
        requeue.requeue(DeliveryAttempt(row, retries=REFUSAL_ATTEMPTS - 1))
    assert requeue._queue_items_before == {}


# The launchd server.


@pytest.fixture
def queue(api: Api) -> str:
    name = fresh_name("queue")
    api.create_queue(name)
    return name


def agent_with_items(api: Api, queue: str, count: int) -> tuple[str, list[str]]:
    queue_id = api.run(
        'query($q: String!) { project(name: "model-registry") { runQueue(name: $q) { id } } }', {"q": queue}
    )
    agent = api.create_agent(queue_id["project"]["runQueue"]["id"])
    for _ in range(count):
        api.push(queue)
    return agent, api.claim(agent, "claim", items=count)


@pytest.mark.parametrize("lost", [0, 2])
def test_everything_arrives_once_at_the_launchd_server(
    native: RunningServer, api: Api, queue: str, recorded_events: RecordedEvents, lost: int
) -> None:
    agent, items = agent_with_items(api, queue, 5)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose.update({"AckRunQueueItems": lost, "ReportRunQueueItems": lost})
        client = QueueServer(proxy.url, native.key)
        with reporting(client, recorded_events, agent) as reporter:
            for item in items:
                reporter.acknowledge(ask_for(item, agent))
            answers = recorded_events.wait_for(Acknowledged, 5)
            for item in items:
                reporter.deliver(outcome(item, "finished", agent))
            wait_until(
                lambda: sum(len(one.ids) for one in recorded_events.of(Delivered)) == 5, what="all were delivered"
            )
        wait_until(lambda: not reporter.is_alive(), what="the reporter has ended")
        client.close()
    assert all(answer.answer is ItemAnswer.TAKEN for answer in answers)
    assert recorded_events.of(Undeliverable) == []
    assert [api.state(item) for item in items] == ["FINISHED"] * 5


def test_what_the_launchd_server_does_not_know_is_set_aside_with_a_reason(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    agent, (item,) = agent_with_items(api, queue, 1)
    api.ack(agent, item)
    with reporting(client, recorded_events, agent) as reporter:
        reporter.deliver(outcome("no-such-item", "finished", agent))
        reporter.deliver(outcome(item, "finished", agent))
        recorded_events.wait_for(Delivered)
        (refused,) = recorded_events.wait_for(Undeliverable)
    assert refused.reason == "The queue server has no such item that this agent may use."
    assert api.state(item) == "FINISHED"


def test_states_on_the_way_are_shown_and_never_after_the_outcome(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    agent, (item,) = agent_with_items(api, queue, 1)
    api.ack(agent, item)
    with reporting(client, recorded_events, agent) as reporter:
        reporter.publish_status(agent, Report(item, 1, "running", "running"))
        wait_until(lambda: (api.item(item) or {})["status"] == "running", what="the state is shown")
        reporter.publish_status(agent, Report(item, 2, "starting", "fetching"))
        reporter.deliver(outcome(item, "finished", agent))
        recorded_events.wait_for(Delivered)
    assert (api.item(item) or {})["status"] == "finished"


def test_the_progress_of_a_build_is_told_seldom_and_a_new_phase_at_once(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, (item,) = agent_with_items(api, queue, 1)
    api.ack(agent, item)

    def told() -> tuple[str, str | None]:
        found = api.item(item) or {}
        return found["phase"], found["message"]

    def report(sequence: int, phase: str, message: str | None = None) -> None:
        reporter.publish_status(agent, Report(item, sequence, "starting", phase, message))

    with reporting(client, recorded_events, agent) as reporter:
        report(1, "building", "resolving the requirements")
        wait_until(lambda: told() == ("building", "resolving the requirements"), what="the phase is shown")
        monkeypatch.setattr("launchd.agent.server_link.reporter.PROGRESS_DELAY_SECONDS", 0.5)
        report(2, "building", "Collecting numpy")
        report(3, "building", "Collecting torch")
        seen = set()
        wait_until(lambda: seen.add(told()) or ("building", "Collecting torch") in seen, what="the latest is shown")
        assert ("building", "Collecting numpy") not in seen
        monkeypatch.setattr("launchd.agent.server_link.reporter.PROGRESS_DELAY_SECONDS", 3600.0)
        report(4, "building", "Installing")
        report(5, "submitting")
        wait_until(lambda: told() == ("submitting", None), what="the next phase is shown")


def test_a_preempted_run_is_queued_once_however_often_it_is_delivered(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    agent, (item,) = agent_with_items(api, queue, 1)
    body = {"entity": ENTITY, "queue": queue, "run_spec": {"project": "p", "run_id": "r", "_resume_count": 1}}
    delivery = Delivery(next(_ids), item, agent, "requeue", json.dumps(body), 0.0)
    with reporting(client, recorded_events, agent) as reporter:
        reporter.deliver(delivery)
        reporter.deliver(delivery)
        assert recorded_events.wait_for(Delivered, 2) == [Delivered((delivery.id,))] * 2
    queued = [one.id for one in client.queue_items(ENTITY, queue, 10)]
    assert len(set(queued) - {item}) == 1


def test_each_item_is_reported_by_the_agent_that_claimed_it(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    """After a change of queues an agent has a new id; what it claimed before is still the old one's."""
    before, (old_item,) = agent_with_items(api, queue, 1)
    api.ack(before, old_item)
    now, (new_item,) = agent_with_items(api, queue, 1)
    api.ack(now, new_item)
    with reporting(client, recorded_events, now) as reporter:
        reporter.deliver(outcome(old_item, "finished", before))
        reporter.deliver(outcome(new_item, "finished", now))
        wait_until(lambda: sum(len(one.ids) for one in recorded_events.of(Delivered)) == 2, what="both were delivered")
    assert [api.state(item) for item in (old_item, new_item)] == ["FINISHED", "FINISHED"]


# Leases, and registrations that come and go.


def leases(api: Api, agent: str, claim: str = "claim") -> list[tuple[str, int]]:
    return [(item["runQueueItemId"], item["lease"]) for item in api.claim_all(agent, claim, items=9)["items"]]


def agent_with_leases(api: Api, queue: str, count: int) -> tuple[str, list[tuple[str, int]]]:
    """An agent with items, each under its lease."""
    agent, _ = agent_with_items(api, queue, count)
    return agent, leases(api, agent)


def test_each_answer_is_about_one_lease(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    """The lease ended before the acknowledgement, and the item was leased to the same agent again."""
    agent, [(item, first)] = agent_with_leases(api, queue, 1)
    api.mutate("returnRunQueueItems", "returned", launchAgentId=agent, runQueueItemIds=[item])
    [(_, second)] = leases(api, agent, "again")
    reporter = make_reporter(client, recorded_events, agent)
    for lease in (first, second, second):
        reporter.acknowledge(ask_for(item, agent, lease=lease))
    reporter.start()
    answers = recorded_events.wait_for(Acknowledged, 3)
    assert [(answer.lease, answer.answer) for answer in answers] == [
        (first, ItemAnswer.LEASE_ENDED),
        (second, ItemAnswer.TAKEN),
        (second, ItemAnswer.TAKEN),
    ]
    assert answers[0].message == "The lease has ended, and the item was leased again to an agent on host 'host1'."
    late, present = outcome(item, "failed", agent, lease=first), outcome(item, "finished", agent, lease=second)
    other = outcome(item, "failed", agent, lease=second)
    for delivery in (late, present, other):
        reporter.deliver(delivery)
    refused = recorded_events.wait_for(Undeliverable, 2)
    reporter.end()
    assert recorded_events.of(Delivered) == [Delivered((present.id,))]
    assert [one.ids for one in refused] == [(late.id,), (other.id,)]
    assert "has ended already, as FINISHED" in refused[1].reason
    assert api.state(item) == "FINISHED"


def test_an_agent_that_the_server_forgot_keeps_what_it_has_to_tell(
    api: Api,
    client: QueueServer,
    queue: str,
    recorded_events: RecordedEvents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launchd_reports, "UNREGISTERED_SECONDS", 0.05)
    agent, [(told, first), (taken, second)] = agent_with_leases(api, queue, 2)
    api.ack(agent, told)
    outcomes = [outcome(told, "finished", "forgotten", lease=first), outcome("no-such-item", "failed", "forgotten")]
    with reporting(client, recorded_events, "forgotten") as reporter:
        reporter.acknowledge(ask_for(taken, "forgotten", lease=second))
        for delivery in outcomes:
            reporter.deliver(delivery)
        reporter.publish_status("forgotten", Report(taken, 1, "running"))
        (lost,) = recorded_events.wait_for(RegistrationLost)
        assert (lost.agent_id, "There is no launch agent" in lost.reason) == ("forgotten", True)
        assert_stays(
            lambda: not recorded_events.of(Delivered) + recorded_events.of(Acknowledged), 0.5, "what is not answered"
        )
        reporter.renew(known_agent(client, agent), link_settings())
        reporter.acknowledge(ask_for(taken, "forgotten", lease=second))
        assert recorded_events.wait_for(Delivered) == [Delivered((outcomes[0].id,))]
        assert [one.answer for one in recorded_events.wait_for(Acknowledged)] == [ItemAnswer.TAKEN]
        assert recorded_events.wait_for(Undeliverable)[0].ids == (outcomes[1].id,)
    assert len(recorded_events.of(RegistrationLost)) == 1


def test_an_item_without_a_lease_number_is_told_of_by_the_agent_that_took_it_along(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    """A row of an earlier version names the agent before; a registration made its item the present one's."""
    before, [item] = agent_with_items(api, queue, 1)
    api.ack(before, item)
    present, _ = agent_with_items(api, queue, 0)
    api.resume(present, previousAgentIds=[before])
    delivery = outcome(item, "finished", before)
    with reporting(client, recorded_events, present) as reporter:
        reporter.deliver(delivery)
        assert recorded_events.wait_for(Delivered) == [Delivered((delivery.id,))]
    assert api.state(item) == "FINISHED"
