"""Claims of an agent with GPUs: it says what is free. Where the server cannot be asked, it claims while one is free."""

from collections.abc import Iterator

import pytest

from ipc.gpus import GpuKind, GpuSummary
from launchd.agent.events import Claimed, Registered, SlotKind
from launchd.agent.server_link.session import QueueServerSession
from launchd.client.queue_server import QueueServer
from launchd.config import AgentConfig
from launchd.config.model import LaunchdConfig, SupervisionConfig
from tests.support.gpu_offers import GIB, spec
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import IDENTITY, claimed_ids
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import KEY, WandbServer


def host(free: int, total: int = 8) -> GpuSummary:
    return GpuSummary((GpuKind("A100", 80 * GIB, free, total, total),))


def config(queue: str) -> AgentConfig:
    """With requests that wait for longer than a test, so that nothing comes of a second look by chance."""
    supervision = SupervisionConfig(poll_seconds=0.05, wait_seconds=25.0)
    launchd = LaunchdConfig(state_dir="/nonexistent", runtime_dir="/nonexistent", supervision=supervision)
    return AgentConfig(queues=(queue,), stopped_run_timeout=0, launchd=launchd)


class Agent:
    """The main thread's side of a session."""

    def __init__(self, client: QueueServer, events: RecordedEvents, queue: str) -> None:
        self.session = QueueServerSession(client, events.queue, (KEY,))
        self._events = events
        self._queue = queue
        self._counted = 0

    def register(self) -> None:
        self.session.start(config(self._queue), IDENTITY, None)
        self.session.on_registered(self._events.wait_for(Registered)[-1], config(self._queue))

    def publish(self, gpus: GpuSummary | None, slots: int = 5, *, job_waits: bool = False) -> None:
        """What the main thread does at the end of an iteration of its loop."""
        claims = self._events.of(Claimed)
        for claim in claims[self._counted :]:
            self.session.count_claim(claim)
        self._counted = len(claims)
        if gpus is not None:
            self.session.set_gpus(gpus, job_waits=job_waits)
        for kind in SlotKind:
            self.session.set_free_slots(kind, slots)


@pytest.fixture
def at_wandb(wandb_client: QueueServer, recorded_events: RecordedEvents) -> Iterator[Agent]:
    agent = Agent(wandb_client, recorded_events, "a")
    yield agent
    agent.session.close()


@pytest.fixture
def queue(api: Api) -> str:
    name = fresh_name("queue")
    api.create_queue(name)
    return name


@pytest.fixture
def at_launchd(native: RunningServer, queue: str, recorded_events: RecordedEvents) -> Iterator[Agent]:
    client = QueueServer(native.url, native.key)
    agent = Agent(client, recorded_events, queue)
    yield agent
    agent.session.close()
    client.close()


def test_w_and_bs_queues_are_popped_only_while_a_gpu_is_free(
    at_wandb: Agent, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    items = [wandb.push("a"), wandb.push("a")]
    at_wandb.publish(host(0))
    at_wandb.register()
    at_wandb.publish(host(0))
    assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "no GPU is free")
    at_wandb.publish(host(2), job_waits=True)
    assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "a job waits for more")
    at_wandb.publish(host(2))
    recorded_events.wait_for(Claimed)
    assert_stays(lambda: claimed_ids(recorded_events) == items[:1], 0.3, "its GPUs are not counted yet")
    at_wandb.publish(host(1))
    recorded_events.wait_for(Claimed, 2)
    assert claimed_ids(recorded_events) == items


def test_w_and_bs_queues_are_popped_on_a_host_without_gpus(
    at_wandb: Agent, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    item = wandb.push("a")
    at_wandb.register()
    at_wandb.publish(GpuSummary())
    recorded_events.wait_for(Claimed)
    assert claimed_ids(recorded_events) == [item]


def test_an_agent_gets_what_fits_and_asks_again_at_once_when_more_is_free(
    at_launchd: Agent, api: Api, queue: str, recorded_events: RecordedEvents
) -> None:
    two, one = api.push(queue, spec(2)), api.push(queue, spec(1))
    at_launchd.publish(host(1))
    at_launchd.register()
    at_launchd.publish(host(1))
    recorded_events.wait_for(Claimed)
    assert claimed_ids(recorded_events) == [one]
    at_launchd.publish(host(0))
    assert_stays(lambda: claimed_ids(recorded_events) == [one], 0.3, "there is none for the other")
    at_launchd.publish(host(2))
    recorded_events.wait_for(Claimed, 2, timeout=5.0)
    assert claimed_ids(recorded_events) == [one, two]
    at_launchd.publish(host(0))
    agent = recorded_events.of(Registered)[0].agent_id
    query = "query($id: ID!) { launchAgent(id: $id) { gpus { free total } } }"
    wait_until(
        lambda: api.run(query, {"id": agent})["launchAgent"]["gpus"] == {"free": 0, "total": 8},
        what="the server knows what is free",
    )


def test_while_a_job_waits_on_the_host_only_items_without_gpus_come(
    at_launchd: Agent, api: Api, queue: str, recorded_events: RecordedEvents
) -> None:
    api.push(queue, spec(1))
    plain = api.push(queue)
    at_launchd.publish(host(1))
    at_launchd.register()
    at_launchd.publish(host(1), job_waits=True)
    recorded_events.wait_for(Claimed)
    assert_stays(lambda: claimed_ids(recorded_events) == [plain], 0.3, "the GPU is for the job that waits")


def test_an_agent_that_says_nothing_of_gpus_gets_any_item(
    at_launchd: Agent, api: Api, queue: str, recorded_events: RecordedEvents
) -> None:
    item = api.push(queue, spec(64))
    at_launchd.register()
    at_launchd.publish(None)
    recorded_events.wait_for(Claimed)
    assert claimed_ids(recorded_events) == [item]


def test_a_host_without_gpus_gets_no_item_that_asks_for_some(
    at_launchd: Agent, api: Api, queue: str, recorded_events: RecordedEvents
) -> None:
    api.push(queue, spec(1))
    plain = api.push(queue)
    at_launchd.publish(GpuSummary())
    at_launchd.register()
    at_launchd.publish(GpuSummary())
    recorded_events.wait_for(Claimed)
    assert_stays(lambda: claimed_ids(recorded_events) == [plain], 0.3, "the other asks for a GPU")
