"""The reporter: everything arrives, once, by the protocol of W&B's servers and by the launchd protocol."""

import itertools
import json

import pytest

from launchd.agent.events import Acknowledged, Delivered, ServerContact
from launchd.agent.journal import Delivery
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.client.queue_server import QueueServer, Report
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import make_reporter, reporting
from tests.support.waiting import wait_until
from tests.support.wandb_server import ENTITY, Fault, WandbServer

_ids = itertools.count(1)


def outcome(item_id: str, status: str, agent_id: str = "agent-1", **more: object) -> Delivery:
    report = {"runQueueItemId": item_id, "sequence": 100, "status": status, **more}
    return Delivery(next(_ids), item_id, agent_id, "outcome", json.dumps(report), 0.0)


def ask_for(item_id: str, agent_id: str = "agent-1", sweep: str | None = None) -> Acknowledgement:
    return Acknowledgement(item_id, agent_id, f"run-{item_id}", ENTITY, "tests", "a", sweep)


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
        assert recorded_events.wait_for(Acknowledged) == [Acknowledged(item, accepted=True)]
    assert (wandb.items[item].state, wandb.items[item].run_id) == ("CLAIMED", f"run-{item}")


def test_an_item_that_another_agent_took_is_not_accepted(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = leased_item(wandb, wandb_client)
    wandb_client.ack(item, "another-agents-run")
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.acknowledge(ask_for(item))
        assert recorded_events.wait_for(Acknowledged) == [Acknowledged(item, accepted=False)]


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
    delivery = Delivery(next(_ids), "item", "agent-1", "warning", '{"message": "m", "stage": "run"}', 0.0)
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(delivery)
        recorded_events.wait_for(Delivered)
    assert wandb.asked["updateRunQueueItemWarning"] == 1


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
    assert answer.accepted
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
    assert all(answer.accepted for answer in answers)
    assert all(one.refusal is None for one in recorded_events.of(Delivered))
    assert [api.state(item) for item in items] == ["FINISHED"] * 5


def test_what_the_launchd_server_does_not_know_is_dropped_with_a_reason(
    api: Api, client: QueueServer, queue: str, recorded_events: RecordedEvents
) -> None:
    agent, (item,) = agent_with_items(api, queue, 1)
    api.ack(agent, item)
    with reporting(client, recorded_events, agent) as reporter:
        reporter.deliver(outcome("no-such-item", "finished", agent))
        reporter.deliver(outcome(item, "finished", agent))
        wait_until(lambda: sum(len(one.ids) for one in recorded_events.of(Delivered)) == 2, what="both are settled")
    refused = [one for one in recorded_events.of(Delivered) if one.refusal]
    assert len(refused) == 1
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
