"""The agent's threads that speak to a queue server, each without the rest of the agent."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from launchd.agent.events import Claimed, Registered, SlotKind
from launchd.agent.server_link.heartbeat import HeartbeatLoop
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.protocol import LinkSettings
from launchd.agent.server_link.registration import RegistrationRequest, RegistrationThread, choose_protocol
from launchd.agent.server_link.reporter import Reporter
from launchd.client.queue_server import AgentIdentity, QueueServer
from tests.support.recorded_events import RecordedEvents
from tests.support.wandb_server import ENTITY, KEY

L = TypeVar("L", Reporter, HeartbeatLoop)

IDENTITY = AgentIdentity(incarnation="incarnation-1", hostname="host", version="launchd@test")


def link_settings(
    *, poll_seconds: float = 0.1, wait_seconds: float = 2.0, stopped_run_timeout: float = 0.0, grace: float = 1.0
) -> LinkSettings:
    """Return settings with short times; ``grace`` is for a run to begin after its job's end."""
    return LinkSettings(wait_seconds, poll_seconds, stopped_run_timeout, grace, (KEY,), IDENTITY.incarnation)


class PollingAgent:
    """The pollers of a registered agent, and the main thread's side of their permits."""

    def __init__(self, recorded_events: RecordedEvents) -> None:
        self.pollers: tuple[Poller, ...] = ()
        self._events = recorded_events
        self._permits = {kind: SlotPermits() for kind in SlotKind}
        self._counted = 0

    def start(self, registration: RegistrationThread, settings: LinkSettings) -> None:
        """Start the pollers of a registration that is done."""
        protocol, registered = registration.protocol, registration.registered
        assert protocol is not None
        assert registered is not None
        self.pollers = tuple(
            Poller(protocol, kind, self._permits[kind], registered, settings, self._events.queue)
            for kind in protocol.claim_kinds
        )
        for poller in self.pollers:
            poller.start()

    def set_free_slots(self, kind: SlotKind, slots: int) -> None:
        """Count the claims that came until now, and say how many slots are free."""
        claims = self._events.of(Claimed)
        for claim in claims[self._counted :]:
            self._permits[claim.kind].count(len(claim.items))
        self._counted = len(claims)
        self._permits[kind].grant(slots)

    def grant_uncounted(self, kind: SlotKind, slots: int) -> None:
        """Say how many slots are free, without a look at the claims that came."""
        self._permits[kind].grant(slots)

    def want_one_at_a_time(self, count: int, timeout: float = 10.0) -> list[str]:
        """Want one more item as soon as the one before has come; returns them."""
        for claims in range(count):
            self.set_free_slots(SlotKind.JOB, 1)
            self._events.wait_for(Claimed, claims + 1, timeout)
        return claimed_ids(self._events)

    def want_until_all_came(self, items: Iterable[str], timeout: float) -> None:
        """Want one more until each of ``items`` has come, perhaps again after its lease; ``timeout`` is for each."""
        wanted = set(items)
        while not wanted <= set(claimed_ids(self._events)):
            claims = len(self._events.of(Claimed))
            self.set_free_slots(SlotKind.JOB, 1)
            self._events.wait_for(Claimed, claims + 1, timeout)

    def end(self) -> None:
        """End the pollers."""
        for poller in self.pollers:
            poller.end()


@contextmanager
def registering(
    server: QueueServer, recorded_events: RecordedEvents, *queues: str, entity: str | None = "me"
) -> Iterator[RegistrationThread]:
    """A registration for these queues that has begun."""
    request = RegistrationRequest(entity, queues, {}, IDENTITY)
    registration = RegistrationThread(server, request, recorded_events.queue, None)
    registration.start()
    try:
        yield registration
    finally:
        registration.stopped.set()


@contextmanager
def polling(
    server: QueueServer,
    recorded_events: RecordedEvents,
    *queues: str,
    entity: str | None = "me",
    poll_seconds: float = 0.1,
    timeout: float = 10.0,
) -> Iterator[PollingAgent]:
    """An agent that is registered for these queues, with pollers that wait for permits."""
    agent = PollingAgent(recorded_events)
    with registering(server, recorded_events, *queues, entity=entity) as registration:
        recorded_events.wait_for(Registered, timeout=timeout)
        agent.start(registration, link_settings(poll_seconds=poll_seconds))
        try:
            yield agent
        finally:
            agent.end()


def claimed_ids(recorded_events: RecordedEvents) -> list[str]:
    """Return the items that were claimed until now."""
    return [item.item_id for event in recorded_events.of(Claimed) for item in event.items]


def known_agent(server: QueueServer, agent_id: str) -> Registered:
    """Return the registration of an agent that serves queue ``a``."""
    return Registered(agent_id, f"name-of-{agent_id}", ENTITY, ("a",), server.capabilities())


def make_reporter(
    server: QueueServer, recorded_events: RecordedEvents, agent_id: str = "agent-1", *, grace: float = 1.0
) -> Reporter:
    """Return a reporter that has not been started."""
    registered = known_agent(server, agent_id)
    return Reporter(choose_protocol(server), registered, link_settings(grace=grace), recorded_events.queue)


def make_heartbeat(
    server: QueueServer, recorded_events: RecordedEvents, agent_id: str, *, stopped_run_timeout: float = 0.0
) -> HeartbeatLoop:
    """Return a heartbeat loop that has not been started."""
    settings = link_settings(poll_seconds=0.05, wait_seconds=5.0, stopped_run_timeout=stopped_run_timeout)
    return HeartbeatLoop(choose_protocol(server), known_agent(server, agent_id), settings, recorded_events.queue)


@contextmanager
def reporting(
    server: QueueServer, recorded_events: RecordedEvents, agent_id: str = "agent-1", *, grace: float = 1.0
) -> Iterator[Reporter]:
    """A reporter for a registered agent; a run may begin ``grace`` seconds after its job's end."""
    with _running(make_reporter(server, recorded_events, agent_id, grace=grace)) as reporter:
        yield reporter


@contextmanager
def sending_heartbeats(
    server: QueueServer, recorded_events: RecordedEvents, agent_id: str, *, stopped_run_timeout: float = 0.0
) -> Iterator[HeartbeatLoop]:
    """A heartbeat loop for a registered agent."""
    loop = make_heartbeat(server, recorded_events, agent_id, stopped_run_timeout=stopped_run_timeout)
    with _running(loop) as heartbeat:
        yield heartbeat


@contextmanager
def _running(thread: L) -> Iterator[L]:
    thread.start()
    try:
        yield thread
    finally:
        thread.end()
