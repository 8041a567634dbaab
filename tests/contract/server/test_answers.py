"""An answer is about one lease of one item, whatever else comes in the same request."""

import json

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import Api, RefusedByServer, fresh_name

pytestmark = pytest.mark.dialect

UNFIT = {
    "project": "team/proj",
    "entity": "a#b",
    "run_id": "bad#name",
    "docker": {"docker_image": "image\0"},
    "resource": "local\0process",
    "queue": "q\0",
    "overrides": {"args": ["fine", "not\0fine"]},
    "name": "n" * 2000,
    "job": 7,
}


def lease_of(api: Api, agent: str, claim: str) -> tuple[str, int]:
    [item] = api.claim_all(agent, claim)["items"]
    return item["runQueueItemId"], item["lease"]


def ack(item: str, lease: int, run: str = "r") -> dict[str, object]:
    return {"runQueueItemId": item, "lease": lease, "runName": run}


def report(item: str, lease: int, sequence: int, status: str, **more: object) -> dict[str, object]:
    return {"runQueueItemId": item, "lease": lease, "sequence": sequence, "status": status, **more}


def give_back(api: Api, agent: str, item: str, **more: object) -> list[str]:
    answer = api.mutate("returnRunQueueItems", "returned", launchAgentId=agent, runQueueItemIds=[item], **more)
    returned: list[str] = answer["returned"]
    return returned


def test_every_lease_has_a_higher_number_also_of_the_same_item(api: Api, queue_and_agent: QueueAndAgent) -> None:
    item = api.push(queue_and_agent.queue)
    numbers = []
    for turn in range(3):
        leased, number = lease_of(api, queue_and_agent.agent, f"c{turn}")
        assert leased == item
        assert lease_of(api, queue_and_agent.agent, f"c{turn}") == (item, number), "the repeated claim"
        numbers.append(number)
        assert give_back(api, queue_and_agent.agent, item) == [item]
    assert 0 < numbers[0] < numbers[1] < numbers[2]


def test_a_late_answer_about_an_earlier_lease_is_no_answer_about_this_one(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    """The case of the campaign: the first lease ends, the same agent claims the item again, both are acknowledged."""
    agent = queue_and_agent.agent
    item = api.push(queue_and_agent.queue)
    _, first = lease_of(api, agent, "c1")
    give_back(api, agent, item)
    [result] = api.results_of_acks(agent, ack(item, first))
    assert (result["answer"], result["success"]) == ("LEASE_ENDED", False)
    assert "waits in its queue again" in result["message"]
    _, second = lease_of(api, agent, "c2")
    assert [one["answer"] for one in api.results_of_acks(agent, ack(item, first), ack(item, second))] == [
        "LEASE_ENDED",
        "TAKEN",
    ]
    assert [one["answer"] for one in api.results_of_acks(agent, ack(item, second))] == ["TAKEN"], "the repeated one"
    assert api.results_of_reports(agent, report(item, first, 9, "failed"))[0]["answer"] == "LEASE_ENDED"
    assert api.state(item) == "CLAIMED"


def test_a_late_return_of_an_earlier_lease_does_not_return_the_present_one(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    item = api.push(queue_and_agent.queue)
    _, first = lease_of(api, queue_and_agent.agent, "c1")
    give_back(api, queue_and_agent.agent, item)
    _, second = lease_of(api, queue_and_agent.agent, "c2")
    assert give_back(api, queue_and_agent.agent, item, leases=[first]) == []
    assert api.state(item) == "LEASED"
    assert give_back(api, queue_and_agent.agent, item, leases=[second]) == [item]


def test_reports_are_answered_by_what_they_are(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent = queue_and_agent.agent
    item = api.push(queue_and_agent.queue)
    _, lease = lease_of(api, agent, "c1")
    api.results_of_acks(agent, ack(item, lease))

    def answer(sequence: int, status: str, of: str = item) -> object:
        return api.results_of_reports(agent, report(of, lease, sequence, status))[0]["answer"]

    assert answer(2**40, "running") == "TAKEN"
    assert answer(2**40, "running") == "TAKEN", "repeated"
    assert answer(7, "starting") == "STALE"
    assert answer(3, "finished") == "TAKEN", "an end counts, whatever its number is"
    assert answer(3, "finished") == "TAKEN"
    assert answer(4, "failed") == "OVER"
    assert answer(1, "running", of="nosuchitem") == "UNKNOWN"
    assert api.results_of_acks(agent, ack(item, lease + 1))[0]["answer"] == "OVER"


def test_what_an_agent_sends_of_one_item_does_not_touch_the_others(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent = queue_and_agent.agent
    items = [api.push(queue_and_agent.queue) for _ in range(7)]
    leases = {one["runQueueItemId"]: one["lease"] for one in api.claim_all(agent, "c", items=7)["items"]}
    assert api.ack(agent, *items) == [True] * 7
    odd: list[dict[str, object]] = [
        {"message": "a\0b" + "x" * 300_000},
        {"message": "half \ud800 a pair", "phase": "p" * 5000},
        {"exitCode": 3_221_225_477},
        {"occurredAt": -1e300},
        {"sequence": 2**70},
        {"status": "exploded"},
        {},
    ]
    reports = [report(item, leases[item], 1, "failed") | more for item, more in zip(items, odd, strict=True)]
    answers = [one["answer"] for one in api.results_of_reports(agent, *reports)]
    assert answers == ["TAKEN", "TAKEN", "TAKEN", "TAKEN", "REFUSED", "REFUSED", "TAKEN"]
    found = [api.item(item) for item in items]
    assert [one["state"] for one in found if one] == ["FAILED"] * 4 + ["CLAIMED"] * 2 + ["FAILED"]
    assert found[0] is not None
    assert str(found[0]["message"]).startswith("a\N{REPLACEMENT CHARACTER}bxxx")
    assert found[1] is not None
    assert found[1]["message"] == "half \N{REPLACEMENT CHARACTER} a pair"
    assert found[2] is not None
    assert (found[2]["exitCode"], found[2]["message"]) == (None, "The exit code was 3221225477.")


def test_an_item_whose_acknowledgement_cannot_succeed_fails_and_starves_nobody(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    agent = queue_and_agent.agent
    bad, good = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    leases = {one["runQueueItemId"]: one["lease"] for one in api.claim_all(agent, "c", items=2)["items"]}
    results = api.results_of_acks(agent, ack(bad, leases[bad], "bad#name"), ack(good, leases[good], "good"))
    assert [one["answer"] for one in results] == ["REFUSED", "TAKEN"]
    found = api.item(bad)
    assert found is not None
    assert (found["state"], found["message"]) == ("FAILED", results[0]["message"])
    assert "'bad#name' is no name for a run" in found["message"]
    assert api.state(good) == "CLAIMED"


def test_so_it_does_when_w_and_bs_agent_acknowledges_it(api: Api, queue_and_agent: QueueAndAgent) -> None:
    bad, good = api.push(queue_and_agent.queue), api.push(queue_and_agent.queue)
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) == bad
    said = api.mutate("ackRunQueueItem", "success", runQueueItemId=bad, runName="a/b")
    assert (said, api.state(bad)) == ({"success": False}, "FAILED")
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) == good


def test_another_run_of_an_acknowledged_item_is_refused_and_the_item_goes_on(
    api: Api, queue_and_agent: QueueAndAgent
) -> None:
    item = api.push(queue_and_agent.queue)
    _, lease = lease_of(api, queue_and_agent.agent, "c1")
    api.results_of_acks(queue_and_agent.agent, ack(item, lease, "first"))
    [result] = api.results_of_acks(queue_and_agent.agent, ack(item, lease, "second"))
    assert (result["answer"], api.state(item)) == ("REFUSED", "CLAIMED")
    assert "for run 'first' before" in result["message"]


@pytest.mark.parametrize("key", UNFIT)
def test_a_push_that_could_not_be_acknowledged_is_refused_by_its_key(
    api: Api, queue_and_agent: QueueAndAgent, key: str
) -> None:
    with pytest.raises(RefusedByServer, match=rf"^400: {key}.* in the run spec") as refused:
        api.push(queue_and_agent.queue, {"project": "p", key: UNFIT[key]})
    assert refused.value.codes == ["REFUSED"]
    assert api.claim(queue_and_agent.agent, "c1") == []


def test_half_of_a_surrogate_pair_is_refused_by_its_key(api: Api, queue_and_agent: QueueAndAgent) -> None:
    with pytest.raises(RefusedByServer, match=r"overrides\.env\.KEY in the run spec is not Unicode"):
        api.push(queue_and_agent.queue, {"project": "p", "overrides": {"env": {"KEY": "\ud800"}}})


def test_what_a_queue_adds_is_checked_too(api: Api) -> None:
    queue = fresh_name("queue")
    config = {"resource_args": {"local-process": {"command": "{{word}}"}}}
    api.create_queue(queue, config=config, variables={"word": {"schema": {"type": "string"}}})
    with pytest.raises(RefusedByServer, match="in the run spec has a NUL character"):
        api.push(queue, templateVariableValues=json.dumps({"word": "a\0"}))


def test_a_stop_says_what_becomes_of_the_item(api: Api, queue_and_agent: QueueAndAgent) -> None:
    agent = queue_and_agent.agent
    waiting, held, left = (api.push(queue_and_agent.queue, priority=3 - n) for n in range(3))
    api.claim(agent, "c1", items=2)
    api.ack(agent, held, left)

    def say(item: str) -> str:
        answer = api.mutate("stopRunQueueItem", "message", runQueueItemId=item, reason="r" * 5000)
        return str(answer["message"])

    assert say(waiting) == "The item has ended: stopped."
    assert say(waiting) == "The item had ended already: stopped."
    assert say(held) == (
        "The stop is noted. The agent that has the item, on host 'host1', is told, and will report the end."
    )
    api.mutate("updateLaunchAgent", "success", launchAgentId=agent, agentStatus="KILLED")
    assert say(left) == (
        "The stop is noted. The agent that has the item, on host 'host1', has left: the job is stopped when that agent"
        " is started again."
    )
    found = api.item(left)
    assert found is not None
    assert len(found["stopReason"]) == 2000
