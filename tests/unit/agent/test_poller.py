"""The poller: claims as much as there are permits for, from all queues in turn, through all faults of a server."""

import time

import pytest

from launchd.agent.events import (
    Claimed,
    QueueError,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    SlotKind,
)
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.registration import choose_protocol
from launchd.agent.server_link.wandb_protocol import FIRST_POLL_SECONDS
from launchd.client.queue_server import QueueServer
from tests.support.lossy_proxy import lossy_proxy
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import claimed_ids, known_agent, link_settings, polling, registering
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import Fault, Flavour, WandbServer, wandb_server


def test_no_queue_starves_another(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    for queue in ("a", "a", "a", "b", "b", "b"):
        wandb.push(queue)
    with polling(wandb_client, recorded_events, "a", "b") as agent:
        agent.want_one_at_a_time(6)
    assert wandb.popped_from == ["a", "b", "a", "b", "a", "b"]


def test_nothing_is_claimed_while_nothing_is_wanted(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    wandb.push("a")
    with polling(wandb_client, recorded_events, "a"):
        assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "an unasked queue")


def test_what_was_claimed_is_counted_before_more_is_claimed(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    first, second = wandb.push("a"), wandb.push("a")
    with polling(wandb_client, recorded_events, "a") as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed)
        # The main thread has not counted that claim yet, so the free slot is the one that is taken.
        agent.grant_uncounted(SlotKind.JOB, 1)
        assert_stays(lambda: claimed_ids(recorded_events) == [first], 0.3, "one claim")
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed, 2)
    assert claimed_ids(recorded_events) == [first, second]


def test_a_freed_slot_is_a_reason_to_look_at_once(
    wandb_client: QueueServer, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    with polling(wandb_client, recorded_events, "a", poll_seconds=60.0) as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        wait_until(lambda: wandb.asked["popFromRunQueue"] == 1, what="the first look")
        wandb.push("a")
        agent.set_free_slots(SlotKind.JOB, 2)
        assert len(recorded_events.wait_for(Claimed, timeout=5.0)) == 1


def test_a_queue_that_is_refused_does_not_stop_the_others(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    wandb.broken_queues.add("a")
    items = [wandb.push(queue) for queue in "abb"]
    with polling(wandb_client, recorded_events, "a", "b") as agent:
        assert agent.want_one_at_a_time(2) == items[1:]
        assert recorded_events.of(QueueError) == [QueueError("a", "this queue's configuration is broken")]
        wandb.broken_queues.clear()
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed, 3)
    assert recorded_events.of(QueueError)[-1] == QueueError("a", None)


def test_after_a_job_the_next_is_asked_for_at_once(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    for _ in range(5):
        wandb.push("a")
    with polling(wandb_client, recorded_events, "a", poll_seconds=60.0) as agent:
        begun = time.monotonic()
        agent.want_one_at_a_time(5)
    # Four pauses would be longer, shortened by chance as they are.
    assert time.monotonic() - begun < 3 * FIRST_POLL_SECONDS


def test_a_server_that_names_a_time_is_not_asked_before(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    wandb.push("a")
    wandb.break_operations(Fault.RETRY_AFTER, "popFromRunQueue")
    with polling(wandb_client, recorded_events, "a") as agent:
        begun = time.monotonic()
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed)
    assert time.monotonic() - begun >= wandb.retry_after


def test_a_server_that_limits_requests_is_asked_less_often(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    wandb.headers = {"RateLimit-Remaining": "2", "RateLimit-Reset": "10"}
    with polling(wandb_client, recorded_events, "a") as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        wait_until(lambda: wandb.asked["popFromRunQueue"] == 1, what="the first look")
        assert_stays(lambda: wandb.asked["popFromRunQueue"] == 1, 1.5, "the number of looks")


def test_an_old_server_is_polled_without_an_agent(recorded_events: RecordedEvents) -> None:
    with wandb_server("a", flavour=Flavour.OLD) as server:
        client = QueueServer(server.url, server.key)
        item = server.push("a")
        with polling(client, recorded_events, "a") as agent:
            assert agent.want_one_at_a_time(1) == [item]
        assert server.foreign == []
        client.close()


def test_a_missing_queue_is_refused_in_a_sentence(wandb_client: QueueServer, recorded_events: RecordedEvents) -> None:
    with registering(wandb_client, recorded_events, "a", "nowhere"):
        refused = recorded_events.wait_for(RegistrationRefused)[0]
    assert "There is no queue nowhere of entity me" in refused.error
    assert "Its queues: a, b." in refused.error
    assert recorded_events.of(Registered) == []


def test_a_poller_that_is_told_to_end_claims_no_more(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    with polling(wandb_client, recorded_events, "a") as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        wait_until(lambda: wandb.asked["popFromRunQueue"] > 0, what="the first look")
    asked = wandb.asked["popFromRunQueue"] + 1
    wandb.push("a")
    wandb.push("a")
    assert_stays(lambda: wandb.asked["popFromRunQueue"] <= asked, 0.4, "the number of questions")


# The launchd server.


def test_the_launchd_server_is_asked_for_all_free_slots_at_once(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    items = [api.push(queue) for _ in range(3)]
    with polling(client, recorded_events, queue) as agent:
        agent.set_free_slots(SlotKind.JOB, 2)
        recorded_events.wait_for(Claimed)
        assert claimed_ids(recorded_events) == items[:2]
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed, 2)
    assert claimed_ids(recorded_events) == items


def test_an_item_whose_slot_has_gone_during_the_claim_waits_for_another(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    with polling(client, recorded_events, queue) as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        time.sleep(0.3)  # The request for one item waits at the server.
        agent.set_free_slots(SlotKind.JOB, 0)
        item = api.push(queue)
        wait_until(lambda: api.state(item) == "LEASED", what="the claim")
        assert_stays(lambda: not recorded_events.of(Claimed), 0.3, "the item")
        agent.set_free_slots(SlotKind.JOB, 1)
        recorded_events.wait_for(Claimed)
    assert claimed_ids(recorded_events) == [item]


@pytest.mark.parametrize("known", [False, True])
def test_an_agent_that_the_server_does_not_take_for_this_one_registers_again_once(
    api: Api, client: QueueServer, recorded_events: RecordedEvents, known: bool
) -> None:
    """The server forgot the agent, or another process has become it."""
    agent = api.create_agent(api.create_queue(fresh_name("queue")), incarnation="another") if known else "no-such-agent"
    permits = SlotPermits()
    registered = known_agent(client, agent)
    poller = Poller(choose_protocol(client), SlotKind.JOB, permits, registered, link_settings(), recorded_events.queue)
    poller.start()
    permits.grant(1)
    (lost,) = recorded_events.wait_for(RegistrationLost)
    poller.end()
    assert lost.agent_id == agent
    assert ("is another process" if known else "There is no launch agent") in lost.reason
    assert recorded_events.of(RegistrationRefused) == []
    wait_until(lambda: not poller.is_alive(), what="the poller has ended")


def test_an_item_whose_slot_has_gone_is_given_back_at_the_end(
    api: Api, client: QueueServer, recorded_events: RecordedEvents
) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    with polling(client, recorded_events, queue) as agent:
        agent.set_free_slots(SlotKind.JOB, 1)
        time.sleep(0.3)
        agent.set_free_slots(SlotKind.JOB, 0)
        item = api.push(queue)
        wait_until(lambda: api.state(item) == "LEASED", what="the claim")
    wait_until(lambda: api.state(item) == "PENDING", what="the return")
    assert recorded_events.of(Claimed) == []


def test_jobs_and_schedulers_are_claimed_apart(api: Api, client: QueueServer, recorded_events: RecordedEvents) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    scheduler = api.push(queue, {"project": "p", "uri": "placeholder-uri-scheduler"})
    job = api.push(queue)
    with polling(client, recorded_events, queue) as agent:
        agent.set_free_slots(SlotKind.JOB, 2)
        assert [item.item_id for item in recorded_events.wait_for(Claimed)[0].items] == [job]
        agent.set_free_slots(SlotKind.SCHEDULER, 1)
        recorded_events.wait_for(Claimed, 2)
    assert [(event.kind, event.items[0].item_id) for event in recorded_events.of(Claimed)] == [
        (SlotKind.JOB, job),
        (SlotKind.SCHEDULER, scheduler),
    ]


def test_an_answer_of_the_launchd_server_that_got_lost_is_given_again(
    native: RunningServer, api: Api, recorded_events: RecordedEvents
) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    item = api.push(queue)
    with lossy_proxy(native.url) as proxy:
        proxy.to_lose["ClaimRunQueueItems"] = 2
        client = QueueServer(proxy.url, native.key)
        with polling(client, recorded_events, queue) as agent:
            assert agent.want_one_at_a_time(1) == [item]
        assert proxy.lost["ClaimRunQueueItems"] == 2
        wait_until(lambda: not any(poller.is_alive() for poller in agent.pollers), what="the pollers have ended")
        client.close()
