"""What people do with queues and with what waits in them: pause, change of a priority, move to another queue."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.accounts import Accounts
from tests.support.gpu_offers import kind, offer, spec
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name

pytestmark = pytest.mark.dialect


def pause(api: Api, queue_id: str, *, paused: bool = True) -> None:
    assert api.mutate("setRunQueuePaused", "success", queueId=queue_id, paused=paused) == {"success": True}


def move(api: Api, item: str, queue_id: str) -> None:
    assert api.mutate("moveRunQueueItem", "success", runQueueItemId=item, queueId=queue_id) == {"success": True}


def set_priority(api: Api, item: str, priority: int) -> None:
    answer = api.mutate("setRunQueueItemPriority", "success", runQueueItemId=item, priority=priority)
    assert answer == {"success": True}


def pause_of(api: Api, queue: str) -> dict[str, object]:
    query = """query($q: String!) { project(name: "model-registry", entityName: "me") {
        runQueue(name: $q) { pausedAt pausedBy } } }"""
    found: dict[str, object] = api.run(query, {"q": queue})["project"]["runQueue"]
    return found


def test_a_paused_queue_gives_out_nothing_until_it_is_resumed(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    queue, agent = queue_and_agent.queue, queue_and_agent.agent
    taken = api.push(queue)
    assert api.claim(agent, "c1") == [taken]
    pause(api, queue_and_agent.queue_id)
    found = pause_of(api, queue)
    assert found["pausedBy"] == "me"
    pause(api, queue_and_agent.queue_id)
    assert pause_of(api, queue) == found
    waiting = api.push(queue)
    scheduler = api.push(queue, {"project": "p", "uri": "placeholder-uri-scheduler"})
    assert api.claim(agent, "c2", items=5, schedulers=5) == []
    assert api.claim(agent, "c3", items=5, gpus=offer(1, kind(2, 2))) == []
    assert api.pop(queue, agent) is None
    # What was leased is still told to a claim that is repeated, and can be acknowledged.
    assert api.claim(agent, "c1") == [taken]
    assert api.ack(agent, taken) == [True]
    code, sentence = (api.why(waiting)[0][key] for key in ("code", "sentence"))
    assert code == "QUEUE_PAUSED"
    assert sentence.startswith(f"Queue {queue!r} was paused by me at 20")
    assert sentence.endswith(f"until `launchd queue resume {queue}`.")

    with ThreadPoolExecutor(1) as pool, server.api() as other:
        claim = pool.submit(other.claim, agent, "c4", items=5, schedulers=5, wait=20)
        pause(api, queue_and_agent.queue_id, paused=False)
        assert sorted(claim.result(5)) == sorted([waiting, scheduler])
    assert pause_of(api, queue) == {"pausedAt": None, "pausedBy": None}


def test_no_gpus_are_held_back_for_what_a_paused_queue_keeps(api: Api) -> None:
    large, small = fresh_name("large"), fresh_name("small")
    ids = [api.create_queue(name) for name in (large, small)]
    agent = api.create_agent(*ids)
    api.push(large, spec(2))
    api.push(small, spec(1))
    pause(api, ids[0])
    claimed = api.claim_all(agent, "c1", items=5, gpus=offer(1, kind(2, 2)))["items"]
    assert [item["queueName"] for item in claimed] == [small]


def test_a_waiting_item_gets_another_priority(api: Api, queue_and_agent: QueueAndAgent) -> None:
    first, second = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    set_priority(api, second, 0)
    assert api.claim(queue_and_agent.agent, "c1") == [second]
    with pytest.raises(RefusedByServer, match=f"Item {second} does not wait in its queue: it is leased."):
        set_priority(api, second, 1)
    with pytest.raises(RefusedByServer, match="Priority 7 is out of range"):
        set_priority(api, first, 7)
    plain = fresh_name("plain")
    api.create_queue(plain, mode="DISABLED")
    with pytest.raises(RefusedByServer, match="This queue has no priorities"):
        set_priority(api, api.push(plain), 0)


def test_a_waiting_item_is_moved(server: RunningServer, api: Api, queue_and_agent: QueueAndAgent) -> None:
    other = fresh_name("other")
    other_id = api.create_queue(other, mode="DISABLED")
    moved = api.push(queue_and_agent.queue, priority=0, idempotencyKey="k")
    younger = api.push(other)
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        elsewhere = api.create_agent(other_id)
        assert api.claim(elsewhere, "c1") == [younger]
        claim = pool.submit(waiting.claim, elsewhere, "c2", wait=20)
        move(api, moved, other_id)
        assert claim.result(5) == [moved]
    # The queue has no priorities, so that the item has none there.
    found = api.item(moved)
    assert found is not None
    assert (found["queueName"], found["priority"]) == (other, 2)
    with pytest.raises(RefusedByServer, match="does not wait in its queue: it is leased"):
        move(api, moved, queue_and_agent.queue_id)
    # The push that is repeated is the same push, wherever its item is by now; one to the other queue is not.
    assert api.push(queue_and_agent.queue, priority=0, idempotencyKey="k") == moved
    assert api.push(other, idempotencyKey="k") != moved


def test_a_moved_item_is_as_old_as_it_is(api: Api, queue_and_agent: QueueAndAgent) -> None:
    old = api.push(queue_and_agent.queue)
    other = fresh_name("other")
    other_id = api.create_queue(other)
    young = api.push(other)
    move(api, old, other_id)
    assert api.claim(api.create_agent(other_id), "c1", items=5) == [old, young]


def test_an_item_goes_to_no_queue_for_another_resource(api: Api, queue_and_agent: QueueAndAgent) -> None:
    containers = fresh_name("containers")
    made = api.mutate(
        "createDefaultResourceConfig",
        "defaultResourceConfigID",
        entityName="me",
        resource="local-container",
        config=json.dumps({}),
    )
    created = api.mutate(
        "createRunQueue",
        "queueID",
        entityName="me",
        projectName="model-registry",
        queueName=containers,
        access="PROJECT",
        defaultResourceConfigID=made["defaultResourceConfigID"],
    )
    item = api.push(queue_and_agent.queue)
    with pytest.raises(
        RefusedByServer, match="is for local-container, and the item for local-process: launch it there"
    ):
        move(api, item, created["queueID"])
    # The scheduler of a sweep runs beside the agent, wherever it waits.
    scheduler = api.push(queue_and_agent.queue, {"project": "p", "uri": "placeholder-uri-scheduler"})
    move(api, scheduler, created["queueID"])


def test_only_members_rearrange_a_queue(api: Api, accounts: Accounts, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    _, stranger = accounts.user()
    own = fresh_name("own")
    own_id = stranger.create_queue(own, entity=stranger.run("{ viewer { entity } }")["viewer"]["entity"])
    for forbidden in (
        lambda: pause(stranger, queue_and_agent.queue_id),
        lambda: set_priority(stranger, item, 0),
        lambda: move(stranger, item, own_id),
        lambda: move(api, item, own_id),
    ):
        with pytest.raises(RefusedByServer, match="There is no"):
            forbidden()
    assert api.claim(queue_and_agent.agent, "c1") == [item]
