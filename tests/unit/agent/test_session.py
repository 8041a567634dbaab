"""The session: threads that start once the agent is registered, and are replaced by a registration for other queues."""

from collections.abc import Iterator

import pytest

from ipc.run_spec import RunSpec
from launchd.agent.events import Claimed, Registered, RegistrationRefused, SlotKind, StopRequested
from launchd.agent.job_record import JobRecord
from launchd.agent.server_link.session import QueueServerSession
from launchd.client.queue_server import QueueServer
from launchd.config import AgentConfig
from launchd.config.model import LaunchdConfig, SupervisionConfig
from tests.support.recorded_events import RecordedEvents
from tests.support.threads import claimed_ids
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, KEY, WandbServer

JOB = JobRecord("item", "agent-1", "a", "job", 1, RunSpec(ENTITY, "tests", "run", "local-process"), "{}", 0.0)


def config(*queues: str) -> AgentConfig:
    supervision = SupervisionConfig(poll_seconds=0.05, wait_seconds=1.0)
    return AgentConfig(
        queues=queues,
        stopped_run_timeout=0,
        launchd=LaunchdConfig(state_dir="/nonexistent", runtime_dir="/nonexistent", supervision=supervision),
    )


@pytest.fixture
def session(wandb_client: QueueServer, recorded_events: RecordedEvents) -> Iterator[QueueServerSession]:
    opened = QueueServerSession(wandb_client, recorded_events.queue, (KEY,))
    yield opened
    opened.close()


def register(session: QueueServerSession, recorded_events: RecordedEvents, *queues: str) -> Registered:
    """Register, and return the event without handing it over."""
    before = len(recorded_events.of(Registered))
    session.start(config(*queues), None, ())
    return recorded_events.wait_for(Registered, before + 1)[-1]


def test_nothing_is_claimed_before_the_main_thread_has_committed_the_registration(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    item = wandb.push("a")
    session.set_free_slots(SlotKind.JOB, 1)
    registered = register(session, recorded_events, "a")
    assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "the queue")
    session.on_registered(registered, config("a"))
    # The slots of an earlier turn do not count: the agent's id is not on disk yet.
    assert_stays(lambda: not wandb.asked["popFromRunQueue"], 0.3, "the queue")
    session.set_free_slots(SlotKind.JOB, 1)
    recorded_events.wait_for(Claimed)
    assert claimed_ids(recorded_events) == [item]
    assert session.registered is registered


def test_a_registration_that_a_reload_superseded_is_ignored(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    first = register(session, recorded_events, "a")
    second = register(session, recorded_events, "b")
    item = wandb.push("b")
    wandb.push("a")
    for registered in (first, second):
        session.on_registered(registered, config("b"))
    session.set_free_slots(SlotKind.JOB, 2)
    recorded_events.wait_for(Claimed)
    assert_stays(lambda: claimed_ids(recorded_events) == [item], 0.3, "the other queue")
    assert session.registered is second


def test_a_claim_of_the_registration_before_keeps_its_slot(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    items = [wandb.push("a"), wandb.push("b")]
    session.on_registered(register(session, recorded_events, "a"), config("a"))
    session.set_free_slots(SlotKind.JOB, 1)
    (claimed,) = recorded_events.wait_for(Claimed)
    # The main thread reloads, and publishes its slots, before it reads the claim.
    session.on_registered(register(session, recorded_events, "b"), config("b"))
    session.set_free_slots(SlotKind.JOB, 1)
    assert_stays(lambda: claimed_ids(recorded_events) == items[:1], 0.3, "one claim for one slot")
    session.count_claim(claimed)
    session.set_free_slots(SlotKind.JOB, 0)
    assert_stays(lambda: claimed_ids(recorded_events) == items[:1], 0.3, "one claim for one slot")
    session.set_free_slots(SlotKind.JOB, 1)
    recorded_events.wait_for(Claimed, 2)
    assert claimed_ids(recorded_events) == items


def test_a_drain_ends_claims_and_leaves_stop_requests(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    registered = register(session, recorded_events, "a")
    session.on_registered(registered, config("a"))
    session.stop_claiming()
    session.set_free_slots(SlotKind.JOB, 1)
    wandb.push("a")
    wandb.stop_polling = True
    assert recorded_events.wait_for(StopRequested)[0].stop_polling
    assert wandb.asked["popFromRunQueue"] == 0


@pytest.mark.usefixtures("quick_retries")
def test_stops_are_heard_while_another_registration_is_refused(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    session.on_registered(register(session, recorded_events, "a"), config("a"))
    session.set_active_jobs([JOB])
    session.start(config("no-such-queue"), None, ())
    recorded_events.wait_for(RegistrationRefused)
    wandb.stopped_runs.add("run")
    assert [stop.item_id for stop in recorded_events.wait_for(StopRequested)[0].stops] == ["item"]


def test_a_drain_during_a_registration_claims_nothing_and_lets_it_go_on(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    session.set_active_jobs([JOB])
    session.start(config("a"), None, ())
    session.stop_claiming()
    (registered,) = recorded_events.wait_for(Registered)
    session.on_registered(registered, config("a"))
    session.set_free_slots(SlotKind.JOB, 1)
    wandb.push("a")
    wandb.stopped_runs.add("run")
    assert [stop.item_id for stop in recorded_events.wait_for(StopRequested)[0].stops] == ["item"]
    assert session.reporter is not None
    assert wandb.asked["popFromRunQueue"] == 0


def test_jobs_that_are_known_before_the_registration_may_be_stopped(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    wandb.stopped_runs.add("run")
    session.set_active_jobs([JOB])
    session.on_registered(register(session, recorded_events, "a"), config("a"))
    assert [stop.item_id for stop in recorded_events.wait_for(StopRequested)[0].stops] == ["item"]


def test_the_end_is_told_to_the_server(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    registered = register(session, recorded_events, "a")
    session.on_registered(registered, config("a"))
    wait_until(lambda: wandb.statuses[registered.agent_id] == ["POLLING"], what="the first heartbeat")
    session.close()
    assert wandb.statuses[registered.agent_id][-1] == "KILLED"
