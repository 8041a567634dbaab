"""The session: threads that start once the agent is registered, and are replaced by a registration for other queues."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.run_spec import RunSpec
from launchd.agent.deliveries import JobEnd, JobOutcome, held_item
from launchd.agent.events import (
    Claimed,
    Delivered,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    SlotKind,
    StopRequested,
)
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.outbox import Outbox
from launchd.agent.server_link import session as session_module
from launchd.agent.server_link.session import MOST_REGISTRATIONS, QueueServerSession
from launchd.client.queue_server import AgentCommands, HeldItem, QueueServer, Report, StopRequest
from launchd.config import AgentConfig
from launchd.config.model import LaunchdConfig, SupervisionConfig
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer, fresh_name
from tests.support.threads import IDENTITY, claimed_ids
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
    session.start(config(*queues), IDENTITY, None)
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
    session.set_active_jobs([JOB], ())
    session.start(config("no-such-queue"), IDENTITY, None)
    recorded_events.wait_for(RegistrationRefused)
    wandb.stopped_runs.add("run")
    assert [stop.item_id for stop in recorded_events.wait_for(StopRequested)[0].stops] == ["item"]


def test_a_drain_during_a_registration_claims_nothing_and_lets_it_go_on(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents
) -> None:
    session.set_active_jobs([JOB], ())
    session.start(config("a"), IDENTITY, None)
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
    session.set_active_jobs([JOB], ())
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


def test_registrations_that_follow_each_other_closely_wait(
    session: QueueServerSession,
    wandb: WandbServer,
    recorded_events: RecordedEvents,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "REGISTRATIONS_SECONDS", 3.0)
    begun = time.monotonic()
    for _ in range(MOST_REGISTRATIONS):
        session.on_registered(register(session, recorded_events, "a"), config("a"))
    made = wandb.asked["createLaunchAgent"]
    assert (made, time.monotonic() - begun < 3.0) == (MOST_REGISTRATIONS, True)
    register(session, recorded_events, "a")
    assert time.monotonic() - begun >= 3.0


# What is left to tell.


def outcome_of(item: str) -> JobOutcome:
    report = Report(item, 1, "failed", message="It broke.", stage="agent")
    return JobOutcome(report, JobEnd("someone-else", "tests", "run", "/nonexistent", ran=False))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / JOURNAL_FILE)
    yield opened
    opened.close()


@pytest.mark.usefixtures("quick_retries")
def test_what_is_left_is_told_although_the_queue_is_gone(
    session: QueueServerSession, wandb: WandbServer, recorded_events: RecordedEvents, journal: Journal
) -> None:
    item = wandb.items[wandb.push("a")]
    item.state = "CLAIMED"
    outbox = Outbox(journal)
    outbox.add(msgspec.structs.replace(JOB, item_id=item.id), outcome_of(item.id), 0.0)
    journal.commit()
    assert session.start_reporter(config("gone")) is None, "nothing is known of the server"
    session.set_active_jobs((), outbox.held())
    session.start(config("gone"), IDENTITY, "agent-0")
    recorded_events.wait_for(RegistrationRefused)
    reporter = session.start_reporter(config("gone"))
    assert reporter is not None
    assert session.start_reporter(config("gone")) is reporter
    outbox.connect(reporter)
    assert recorded_events.wait_for(Delivered) == [Delivered((1,))]
    assert item.failures == [("It broke.", "agent")]
    session.on_registered(register(session, recorded_events, "a"), config("a"))
    assert session.reporter is reporter


@pytest.mark.usefixtures("quick_retries")
def test_without_an_agent_before_nothing_is_told_before_the_registration(
    session: QueueServerSession, recorded_events: RecordedEvents
) -> None:
    session.start(config("gone"), IDENTITY, None)
    recorded_events.wait_for(RegistrationRefused)
    assert session.start_reporter(config("gone")) is None


def test_it_is_registering_until_the_event_is_handed_over(
    session: QueueServerSession, recorded_events: RecordedEvents
) -> None:
    assert not session.is_registering
    registered = register(session, recorded_events, "a")
    assert session.is_registering
    session.on_registered(registered, config("a"))
    assert not session.is_registering


def test_the_server_hears_of_the_items_of_jobs_and_of_what_is_left_to_tell(
    native: RunningServer, api: Api, recorded_events: RecordedEvents
) -> None:
    queue = fresh_name("queue")
    api.create_queue(queue)
    seen: list[Sequence[HeldItem]] = []

    class Watched(QueueServer):
        def watch(self, *args: Any) -> AgentCommands:
            seen.append(args[5])
            return super().watch(*args)

    client = Watched(native.url, native.key)
    session = QueueServerSession(client, recorded_events.queue, ())
    given = HeldItem("of-the-start", 4, "run", acknowledged=True)
    session.set_active_jobs((), (given,))
    session.start(config(queue), IDENTITY, None)
    session.on_registered(recorded_events.wait_for(Registered)[0], config(queue))
    wait_until(lambda: seen, what="the first heartbeat")
    assert seen[0] == (given,)
    job = msgspec.structs.replace(JOB, lease=5, acknowledged=True)
    same, other = HeldItem("item", 3, "run", acknowledged=True), HeldItem("other", 2, "r", acknowledged=True)
    session.set_active_jobs([job], [same, other])
    items = (HeldItem("item", 5, "run", acknowledged=True), other)
    wait_until(lambda: seen[-1] == items, what="a heartbeat with the items")
    session.close()
    agent = client.agent(recorded_events.of(Registered)[0].agent_id)
    assert agent is not None
    assert agent.status == "KILLED"
    client.close()


def test_stops_are_heard_although_the_queue_is_gone(
    native: RunningServer, api: Api, recorded_events: RecordedEvents
) -> None:
    """The agent is started again over a job that runs on."""
    queue = fresh_name("queue")
    agent = api.create_agent(api.create_queue(queue), incarnation="before")
    api.push(queue)
    [item] = api.claim_all(agent, "claim")["items"]
    api.ack(agent, item["runQueueItemId"], run="run")
    job = msgspec.structs.replace(
        JOB, item_id=item["runQueueItemId"], agent_id=agent, lease=item["lease"], acknowledged=True
    )
    client = QueueServer(native.url, native.key)
    session = QueueServerSession(client, recorded_events.queue, ())
    session.set_active_jobs([job], ())
    identity = msgspec.structs.replace(IDENTITY, previous_incarnation="before")
    session.set_active_jobs((), (held_item(job),))
    session.start(config("gone"), identity, agent)
    recorded_events.wait_for(RegistrationRefused)
    assert session.start_reporter(config("gone")) is not None
    api.mutate("stopRunQueueItem", "success", runQueueItemId=job.item_id, reason="enough")
    assert recorded_events.wait_for(StopRequested)[0].stops == (StopRequest(job.item_id, "enough"),)
    assert recorded_events.of(RegistrationLost) == []
    session.on_registered(_registered(session, recorded_events, queue, agent), config(queue))
    assert session.registered is not None
    assert session.registered.agent_id == agent
    session.close()
    client.close()


def _registered(session: QueueServerSession, recorded_events: RecordedEvents, queue: str, agent: str) -> Registered:
    session.start(config(queue), IDENTITY, agent)
    return recorded_events.wait_for(Registered)[0]
