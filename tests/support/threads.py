"""The agent's threads that speak to a queue server, each without the rest of the agent."""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from launchd.agent.events import Claimed, Registered, SlotKind
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.heartbeat import HeartbeatLoop
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.registration import RegistrationRequest
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import QueueServer
from tests.support.recorded_events import RecordedEvents
from tests.support.wandb_server import ENTITY, KEY


@contextmanager
def polling(server: QueueServer, mail: RecordedEvents, *queues: str, entity: str | None = "me") -> Iterator[Poller]:
    """A poller of these queues that has begun to register."""
    request = RegistrationRequest(entity, queues, {}, "launchd@test")
    poller = Poller(server, request, mail.queue, wait_seconds=2.0, poll_seconds=0.1)
    poller.start()
    try:
        yield poller
    finally:
        poller.end()


def want_one_at_a_time(poller: Poller, mail: RecordedEvents, count: int, timeout: float = 10.0) -> list[str]:
    """Want one more item as soon as the one before has come; returns them."""
    for claims_read in range(count):
        poller.set_free_slots(SlotKind.JOB, 0, claims_read)
        poller.set_free_slots(SlotKind.JOB, 1, claims_read)
        mail.wait_for(Claimed, claims_read + 1, timeout)
    return claimed_ids(mail)


def want_until_all_came(poller: Poller, mail: RecordedEvents, items: Iterable[str], timeout: float) -> None:
    """Want one more until each of ``items`` has come, perhaps again after its lease; ``timeout`` is for each."""
    wanted = set(items)
    for claims_read in itertools.count():
        if wanted <= set(claimed_ids(mail)):
            return
        poller.set_free_slots(SlotKind.JOB, 0, claims_read)
        poller.set_free_slots(SlotKind.JOB, 1, claims_read)
        mail.wait_for(Claimed, claims_read + 1, timeout)


def claimed_ids(mail: RecordedEvents) -> list[str]:
    """Return the items that were claimed until now."""
    return [item.item_id for event in mail.of(Claimed) for item in event.items]


@contextmanager
def reporting(
    server: QueueServer, mail: RecordedEvents, agent_id: str = "agent-1", *, grace: float = 1.0
) -> Iterator[Reporter]:
    """A reporter for a registered agent; a run may begin ``grace`` seconds after its job's end."""
    known = Registered(agent_id, f"name-of-{agent_id}", ENTITY, ("a",), server.capabilities())
    run = AgentRun(server, known)
    reporter = Reporter(server, known, mail.queue, agent_run=run, secrets=(KEY,), init_grace_seconds=grace)
    reporter.start()
    try:
        yield reporter
    finally:
        reporter.end()


@contextmanager
def watching(
    server: QueueServer, mail: RecordedEvents, agent_id: str, *, patience: float = 0.0, run: AgentRun | None = None
) -> Iterator[HeartbeatLoop]:
    """A watcher for a registered agent; ``patience`` is the ``stopped_run_timeout``."""
    known = Registered(agent_id, "name", ENTITY, ("a",), server.capabilities())
    watcher = HeartbeatLoop(
        server,
        known,
        mail.queue,
        run or AgentRun(server, known),
        wait_seconds=5.0,
        poll_seconds=0.05,
        stopped_run_timeout=patience,
    )
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.end()
