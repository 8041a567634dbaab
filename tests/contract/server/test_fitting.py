"""Agents that say which GPUs they have free are leased what fits; larger items are passed for a bounded time."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.server.conftest import QueueAndAgent
from tests.support.gpu_offers import kind, offer, spec
from tests.support.server import Api, RefusedByServer, RunningServer, fresh_name, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect

BACKFILL_SECONDS = 0.4


@pytest.fixture(scope="module")
def impatient(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    """A server that lets items be passed for less than half a second."""
    options = ("--backfill-seconds", str(BACKFILL_SECONDS), "--agent-timeout-seconds", "1000")
    with running_server(tmp_path_factory.mktemp("impatient"), *options) as server:
        yield server


@pytest.fixture
def soon(impatient: RunningServer) -> Iterator[Api]:
    with impatient.api() as client:
        yield client


def queue_with_agents(api: Api, count: int) -> tuple[str, list[str]]:
    queue = fresh_name("queue")
    queue_id = api.create_queue(queue)
    return queue, [api.create_agent(queue_id, hostname=f"host{number}") for number in range(count)]


def test_an_agent_is_leased_the_first_item_that_fits(api: Api, queue_and_agent: QueueAndAgent) -> None:
    large, small, plain = (api.push(queue_and_agent.queue, given) for given in (spec(4), spec(1), {"project": "p"}))
    assert api.claim(queue_and_agent.agent, "c1", gpus=offer(1, kind(2, 8))) == [small]
    assert api.claim(queue_and_agent.agent, "c2", gpus=offer(2, kind(1, 8))) == [plain]
    assert api.claim(queue_and_agent.agent, "c3", gpus=offer(3, kind(3, 8))) == []
    assert api.claim(queue_and_agent.agent, "c4", gpus=offer(4, kind(4, 8))) == [large]


def test_a_claim_of_many_gives_out_no_gpu_twice(api: Api, queue_and_agent: QueueAndAgent) -> None:
    first = [api.push(queue_and_agent.queue, spec(2)) for _ in range(3)]
    plain = [api.push(queue_and_agent.queue) for _ in range(2)]
    one = api.push(queue_and_agent.queue, spec(1))
    got = api.claim(queue_and_agent.agent, "c1", items=20, gpus=offer(1, kind(5, 8)))
    assert got == [first[0], first[1], *plain, one], "two of two, then one; items without GPUs in their places"
    assert api.claim(queue_and_agent.agent, "c1", items=20, gpus=offer(1, kind(5, 8))) == got, "a repetition"


def test_memory_instances_and_names_are_looked_at(api: Api, queue_and_agent: QueueAndAgent) -> None:
    queue, agent = queue_and_agent.queue, queue_and_agent.agent
    big = api.push(queue, spec(1, memory="40 GiB"))
    named = api.push(queue, spec("device=GPU-7"))
    everything = api.push(queue, spec("all"))
    mig = offer(1, kind(0, 1), kind(3, 3, memory=10, instances=True), devices=["0:1"], free=["0:1"])
    assert api.claim(agent, "c1", items=9, gpus=mig) == []
    assert api.claim(agent, "c2", gpus=offer(2, kind(1, 2), devices=["0", "1"], free=["0"])) == [big]
    assert api.claim(agent, "c3", gpus=offer(3, kind(1, 2), devices=["7", "GPU-7"], free=["7", "GPU-7"])) == [named]
    assert api.claim(agent, "c4", gpus=offer(4, kind(2, 2))) == [everything]


def test_agents_that_say_nothing_of_gpus_are_leased_any_item(api: Api, queue_and_agent: QueueAndAgent) -> None:
    first, second = api.push(queue_and_agent.queue, spec(64)), api.push(queue_and_agent.queue, spec(1))
    assert api.pop(queue_and_agent.queue, queue_and_agent.agent) == first
    assert api.claim(queue_and_agent.agent, "c1") == [second]


def test_nonsense_is_refused_at_the_push_with_its_key(api: Api, queue_and_agent: QueueAndAgent) -> None:
    with pytest.raises(RefusedByServer, match=r"400: resource_args\.local-process\.launchd\.gpus in the run spec"):
        api.push(queue_and_agent.queue, spec("many"))
    container = {"project": "p", "resource": "local-container", "resource_args": {"local-container": {"gpus": "x"}}}
    with pytest.raises(RefusedByServer, match=r"resource_args\.local-container\.gpus"):
        api.push(queue_and_agent.queue, container)


def test_what_a_queue_adds_counts_with_its_template_variables(api: Api) -> None:
    queue = fresh_name("queue")
    config = {"resource_args": {"local-process": {"launchd": {"gpus": "{{count}}"}}}}
    count = {"schema": {"type": "integer", "default": 2, "maximum": 4}}
    api.create_queue(queue, config=config, variables={"count": count})
    two = api.push(queue)
    four = api.push(queue, templateVariableValues='{"count": 4}')
    query = "query($id: ID!) { launchRunQueueItem(id: $id) { gpus } }"
    asked = [api.run(query, {"id": item})["launchRunQueueItem"]["gpus"] for item in (two, four)]
    assert asked == ["2 GPUs", "4 GPUs"]


def test_a_waiting_claim_is_woken_by_an_item_that_fits_and_goes_on_after_one_that_does_not(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        claim = pool.submit(waiting.claim, queue_and_agent.agent, "c1", wait=20, gpus=offer(1, kind(1, 8)))
        api.push(queue_and_agent.queue, spec(2))
        fitting = api.push(queue_and_agent.queue, spec(1))
        assert claim.result(5) == [fitting]


def test_a_waiting_claim_ends_when_other_gpus_are_free(
    server: RunningServer, api: Api, queue_and_agent: QueueAndAgent
) -> None:
    item = api.push(queue_and_agent.queue, spec(2))
    with ThreadPoolExecutor(1) as pool, server.api() as waiting:
        claim = pool.submit(waiting.claim, queue_and_agent.agent, "c1", wait=20, gpus=offer(1, kind(1, 8)))
        wait_until(lambda: gpus_of(api, queue_and_agent.agent) == {"free": 1, "total": 8}, what="the claim")
        assert api.report_gpus(queue_and_agent.agent, offer(2, kind(2, 8)))
        assert claim.result(5) == [], "it has to claim with those"
    assert not api.report_gpus(queue_and_agent.agent, offer(1, kind(8, 8))), "older than what is known"
    assert gpus_of(api, queue_and_agent.agent) == {"free": 2, "total": 8}
    started = time.monotonic()
    assert api.claim(queue_and_agent.agent, "c2", wait=10, gpus=offer(1, kind(8, 8))) == [], "an old claim"
    assert time.monotonic() - started < 5
    assert api.claim(queue_and_agent.agent, "c3", gpus=offer(2, kind(2, 8))) == [item]


def gpus_of(api: Api, agent: str) -> object:
    return api.run("query($id: ID!) { launchAgent(id: $id) { gpus { free total } } }", {"id": agent})["launchAgent"][
        "gpus"
    ]


def test_another_process_of_an_agent_counts_its_gpus_anew(api: Api) -> None:
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue), incarnation="one")
    assert api.report_gpus(agent, offer(7, kind(1, 8)))
    api.resume(agent, incarnation="two", previousIncarnation="one")
    assert api.report_gpus(agent, offer(1, kind(5, 8)))
    assert gpus_of(api, agent) == {"free": 5, "total": 8}


def test_a_larger_item_is_passed_for_a_while_and_then_gpus_are_held_back_for_it(soon: Api) -> None:
    queue, (agent, other) = queue_with_agents(soon, 2)
    large = soon.push(queue, spec(8))
    small = [soon.push(queue, spec(1)) for _ in range(4)]
    assert soon.claim(agent, "c1", gpus=offer(1, kind(4, 8))) == [small[0]], "it is passed"
    assert "PASSED" in codes(soon, large)
    wait_until(lambda: "held back for it now" in sentences(soon, large), what="the end of the time")
    assert soon.claim(agent, "c2", items=9, gpus=offer(2, kind(7, 8))) == [], "held back"
    assert "HELD_BACK" in codes(soon, small[1])
    assert large in sentences(soon, small[1])
    assert soon.claim(other, "o1", gpus=offer(1, kind(2, 4))) == [small[1]], "this one could never fit it"
    assert soon.claim(agent, "c3", items=9, gpus=offer(3, kind(8, 8))) == [large]
    assert soon.claim(agent, "c4", gpus=offer(4, kind(1, 8))) == [small[2]]


def test_claims_look_again_when_gpus_are_not_held_back_any_more(soon: Api, impatient: RunningServer) -> None:
    queue, (agent, other) = queue_with_agents(soon, 2)
    for end in ("lease", "stop"):
        large = soon.push(queue, spec(8))
        passing, small = soon.push(queue, spec(1)), soon.push(queue, spec(1))
        assert soon.claim(agent, f"{end}1", gpus=offer(1, kind(4, 8))) == [passing]
        wait_until(lambda large=large: "held back for it now" in sentences(soon, large), what="the end of the time")
        with ThreadPoolExecutor(1) as pool, impatient.api() as waiting:
            claim = pool.submit(waiting.claim, agent, f"{end}2", wait=20, gpus=offer(1, kind(4, 8)))
            if end == "lease":
                assert soon.claim(other, "o1", gpus=offer(1, kind(8, 8))) == [large]
            else:
                soon.mutate("stopRunQueueItem", "success", runQueueItemId=large)
            assert claim.result(5) == [small]


def test_a_second_queue_of_the_agent_does_not_eat_what_is_held_back(soon: Api) -> None:
    names = [fresh_name("queue"), fresh_name("queue")]
    agent = soon.create_agent(*(soon.create_queue(name) for name in names))
    large = soon.push(names[0], spec(4))
    small = [soon.push(names[1], spec(1)) for _ in range(3)]
    assert soon.claim(agent, "c1", gpus=offer(1, kind(2, 4))) == [small[0]]
    wait_until(lambda: "held back for it now" in sentences(soon, large), what="the end of the time")
    assert soon.claim(agent, "c2", items=5, gpus=offer(1, kind(3, 4))) == []
    assert soon.claim(agent, "c3", items=5, gpus=offer(2, kind(4, 4))) == [large]


def test_an_item_that_no_living_agent_could_ever_fit_says_so(api: Api) -> None:
    queue, (agent, _) = queue_with_agents(api, 2)
    item = api.push(queue, spec(16))
    query = "query($id: ID!) { launchRunQueueItem(id: $id) { fitsNoAgent } }"

    def fits_none() -> object:
        return api.run(query, {"id": item})["launchRunQueueItem"]["fitsNoAgent"]

    assert api.claim(agent, "c1", gpus=offer(1, kind(8, 8))) == []
    assert fits_none() is False, "the other agent does not say what it has"
    second = api.run('{ launchAgents(entityName: "me") { id queueNames } }')["launchAgents"]
    (other,) = [one["id"] for one in second if one["queueNames"] == [queue] and one["id"] != agent]
    api.report_gpus(other, offer(1, kind(2, 2, name="T4")))
    assert fits_none() is True
    (reason,) = api.why(item)
    assert reason["code"] == "FITS_NO_AGENT"
    assert "16 GPUs" in reason["sentence"]
    assert "8 A100" in reason["sentence"]
    assert "2 T4" in reason["sentence"]
    api.report_gpus(other, offer(2, kind(2, 32)))
    assert fits_none() is False
    assert [one["code"] for one in api.why(item)] == ["GPUS_BUSY", "FITS_NOT_HERE"]


def codes(api: Api, item: str) -> list[str]:
    return [reason["code"] for reason in api.why(item)]


def sentences(api: Api, item: str) -> str:
    return " ".join(reason["sentence"] for reason in api.why(item))


def test_an_item_says_why_it_waits_and_how_it_ended(api: Api) -> None:
    queue = fresh_name("queue")
    queue_id = api.create_queue(queue)
    first, second = api.push(queue), api.push(queue)
    assert codes(api, first) == ["NO_AGENT"]
    agent = api.create_agent(queue_id, agentConfig='{"max_jobs": 1}')
    assert codes(api, first) == ["AGENT_FREE"]
    assert codes(api, second) == ["BEHIND", "AGENT_FREE"]
    assert api.claim(agent, "c1") == [first]
    assert codes(api, first) == ["LEASED"]
    assert codes(api, second) == ["AGENT_FULL"]
    api.ack(agent, first)
    api.report(agent, first, 1, "running", phase="building", message="pip is at work")
    assert sentences(api, first) == "The agent on host 'host1' has it, running (building): pip is at work"
    api.report(agent, first, 2, "failed", message="No space left.", stage="build", exitCode=3)
    assert sentences(api, first) == "It has ended as failed at the stage build with exit code 3: No space left."
    api.mutate("stopLaunchAgent", "success", launchAgentId=agent)
    assert codes(api, second) == ["AGENT_LEAVES"]


def test_what_an_agent_says_of_gpus_is_bounded(api: Api, queue_and_agent: QueueAndAgent) -> None:
    for nonsense in (offer(1, *[kind(1, 1)] * 65), offer(1, devices=["x"] * 2049), offer(1, kind(-1, 1))):
        with pytest.raises(RefusedByServer, match="400"):
            api.claim(queue_and_agent.agent, "c1", gpus=nonsense)
    odd = offer(1, kind(1, 1, name="a\0b" + "x" * 900), devices=["\ud800".encode("utf-16", "surrogatepass").hex()])
    assert api.claim(queue_and_agent.agent, "c1", gpus=odd) == []
