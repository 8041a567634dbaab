"""Every fault at every operation that an agent sends to W&B's server: no item lost, none taken twice, none forgotten.

In each scene one kind of fault is met once by each operation of one thread of the agent, before or after its effect.
"""

import itertools
import json
from collections.abc import Iterator

import pytest

from launchd.agent.deliveries import DeliveryBody, JobEnd, JobOutcome, JobWarning, RequeuedRun, body_fields
from launchd.agent.events import Acknowledged, Delivered, ServerContact, StopRequested, Undeliverable
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.protocol import Acknowledgement, MonitoredRun
from launchd.agent.server_link.wandb_protocol import STOPPED_RUN_REASON
from launchd.client.operations import accounts, launch, runs
from launchd.client.operations.operation import Operation
from launchd.client.queue_server import ItemAnswer, QueueServer, Report, StopRequest
from tests.support.recorded_events import RecordedEvents
from tests.support.threads import polling, reporting, sending_heartbeats
from tests.support.waiting import wait_until
from tests.support.wandb_faults import Fault
from tests.support.wandb_server import ENTITY, WandbServer, wandb_server

REGISTERING = (
    "Capabilities",
    "Viewer",
    "ProjectRunQueues",
    "EntityIsTeam",
    "createLaunchAgent",
    "LaunchAgent",
    "popFromRunQueue",
)
TAKING = ("ackRunQueueItem", "GetRunQueueItem", "GetSweepState")
TELLING = ("RunState", "failRunQueueItem", "updateRunQueueItemWarning", "UpsertSweep")
KEEPING = ("UpsertBucket", "CreateRunFiles", "PUT", "file_stream")
REQUEUEING = ("GetRunQueueItems", "pushToRunQueueByName")
WATCHING = ("updateLaunchAgent", "LaunchAgent", "RunStoppedStatus")

#: What an agent does not send: operations of the command line, and those that make a queue where there is none at all.
NOT_OF_AGENTS = {
    "CreateDefaultResourceConfig",
    "CreateProject",
    "CreateRunQueue",
    "DeleteFromRunQueue",
    "DeleteRunQueue",
    "GetDefaultResourceConfig",
    "GetRunQueueMetadata",
    "Run",
    "RunInfo",
    "UpsertRunQueue",
}

#: How long a client waits for a server that hangs.
PATIENCE_SECONDS = 0.25
LEASE_SECONDS = 0.25
SCENE_SECONDS = 25.0

SIDES = pytest.mark.parametrize("done", [False, True], ids=["before the effect", "after the effect"])
FAULTS = pytest.mark.parametrize("fault", Fault)
pytestmark = pytest.mark.usefixtures("quick_retries")

_ids = itertools.count(1)


@pytest.fixture
def wandb() -> Iterator[WandbServer]:
    with wandb_server("a", "b", lease_seconds=LEASE_SECONDS) as server:
        server.retry_after = 0
        yield server
        assert server.foreign == []


@pytest.fixture
def wandb_client(wandb: WandbServer) -> Iterator[QueueServer]:
    client = QueueServer(wandb.url, wandb.key, timeout=PATIENCE_SECONDS)
    yield client
    client.close()


def taken_item(wandb: WandbServer, run: str | None = None) -> str:
    """Return an item that is leased, or taken as ``run``."""
    item = wandb.items[wandb.push("a")]
    item.state, item.run_id = ("CLAIMED", run) if run else ("LEASED", None)
    item.leased_at = float("inf")
    return item.id


def outcome(item_id: str, run: str, status: str, *, scheduler: bool = False) -> Delivery:
    report = Report(item_id, 1, status, message="It broke.", stage="run")
    end = JobEnd(ENTITY, "tests", run, "/nonexistent", ran=True, is_scheduler=scheduler)
    return delivery(item_id, JobOutcome(report, end))


def delivery(item_id: str, body: DeliveryBody) -> Delivery:
    return Delivery(next(_ids), item_id, "agent-1", body.kind, json.dumps(body_fields(body)), 0.0)


def test_no_operation_of_an_agent_is_left_out() -> None:
    sent = {one.name for topic in (launch, runs) for one in vars(topic).values() if isinstance(one, Operation)}
    sent |= {accounts.CAPABILITIES.name, accounts.VIEWER.name}
    met = {*REGISTERING, *TAKING, *TELLING, *KEEPING, *REQUEUEING, *WATCHING}
    assert sent - NOT_OF_AGENTS == met - {"PUT", "file_stream", "pushToRunQueueByName"}


@FAULTS
@SIDES
def test_a_poller_registers_and_gets_every_item(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, fault: Fault, done: bool
) -> None:
    items = [wandb.push("a"), wandb.push("b"), wandb.push("b")]
    wandb.break_operations(fault, *REGISTERING, done=done)
    with polling(wandb_client, recorded_events, "a", "b", entity=None, timeout=SCENE_SECONDS) as agent:
        agent.want_until_all_came(items, SCENE_SECONDS)
    assert set(wandb.met) == set(REGISTERING)
    assert recorded_events.of(ServerContact)[-1].error is None


@FAULTS
@SIDES
def test_items_are_taken_once(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, fault: Fault, done: bool
) -> None:
    wandb_client.capabilities()
    wandb.sweeps["s"] = "RUNNING"
    items = [taken_item(wandb) for _ in range(3)]
    wandb.break_operations(fault, *TAKING, done=done)
    with reporting(wandb_client, recorded_events) as reporter:
        for item in items:
            reporter.acknowledge(Acknowledgement(item, "agent-1", f"run-{item}", ENTITY, "tests", "a", "s"))
        answers = recorded_events.wait_for(Acknowledged, 3, SCENE_SECONDS)
    assert answers == [Acknowledged(item, 0, ItemAnswer.TAKEN) for item in items]
    assert [(wandb.items[item].acks, wandb.items[item].run_id) for item in items] == [
        (1, f"run-{item}") for item in items
    ]
    assert {"ackRunQueueItem", "GetSweepState"} <= set(wandb.met)


@FAULTS
@SIDES
def test_what_became_of_items_arrives(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, fault: Fault, done: bool
) -> None:
    wandb_client.capabilities()
    wandb.sweeps["scheduler"] = "RUNNING"
    wandb.start_run("begun")
    never, begun, scheduler = (taken_item(wandb, run) for run in ("never", "begun", "scheduler"))
    wandb.break_operations(fault, *TELLING, *KEEPING, done=done)
    with reporting(wandb_client, recorded_events, grace=0.05) as reporter:
        reporter.deliver(delivery(begun, JobWarning("m", "Kubernetes")))
        reporter.deliver(outcome(never, "never", "finished"))
        reporter.deliver(outcome(begun, "begun", "failed"))
        reporter.deliver(outcome(scheduler, "scheduler", "failed", scheduler=True))
        recorded_events.wait_for(Delivered, 4, SCENE_SECONDS)
    assert recorded_events.of(Undeliverable) == []
    assert [wandb.state(item) for item in (never, begun, scheduler)] == ["FAILED", "CLAIMED", "FAILED"]
    assert [stage for _, stage in wandb.items[never].failures] == ["run"]
    assert set(wandb.items[begun].warnings) == {("m", "Kubernetes")}
    assert wandb.sweeps["scheduler"] == "CANCELED"
    assert wandb.items[scheduler].file_paths == [f"{scheduler}/error/error.log"]
    assert set(wandb.met) == {*TELLING, *KEEPING}


@FAULTS
@SIDES
def test_a_preempted_run_is_queued_once(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, fault: Fault, done: bool
) -> None:
    wandb_client.capabilities()
    first = taken_item(wandb, "r")
    wandb.break_operations(fault, *REQUEUEING, done=done)
    run = RequeuedRun(ENTITY, "a", {"run_id": "r", "_resume_count": 1})
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(delivery(first, run))
        wait_until(lambda: len(wandb.items) == 2, SCENE_SECONDS, "it is queued")
        (second,) = set(wandb.items) - {first}
        # Another agent takes it: only then does the server say whose run it is.
        wandb.items[second].state, wandb.items[second].run_id = "CLAIMED", "r"
        recorded_events.wait_for(Delivered, 1, SCENE_SECONDS)
    assert recorded_events.of(Undeliverable) == []
    assert set(wandb.items) == {first, second}
    assert set(wandb.met) == set(REQUEUEING)


@FAULTS
@SIDES
def test_stop_requests_are_heard(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, fault: Fault, done: bool
) -> None:
    agent_id = wandb_client.create_agent(ENTITY, ["queue-a"], "host", {}, "launchd@test")
    wandb.break_operations(fault, *WATCHING, done=done)
    wandb.stopped_runs.add("run")
    wandb.stop_polling = True
    with sending_heartbeats(wandb_client, recorded_events, agent_id) as heartbeat:
        heartbeat.set_active_jobs((MonitoredRun("item", ENTITY, "tests", "run"),), ())
        wait_until(
            lambda: _stop_requests(recorded_events) == {StopRequest("item", STOPPED_RUN_REASON)},
            SCENE_SECONDS,
            "the stop",
        )
        wait_until(
            lambda: any(one.stop_polling for one in recorded_events.of(StopRequested)),
            SCENE_SECONDS,
            "the end of polling",
        )
        wait_until(lambda: "RUNNING" in wandb.statuses[agent_id], SCENE_SECONDS, "the status")
    assert set(wandb.met) == set(WATCHING)


def _stop_requests(recorded_events: RecordedEvents) -> set[StopRequest]:
    return {stop for event in recorded_events.of(StopRequested) for stop in event.stops}
