"""Permits: however claims, counting, reloads and limits interleave, no more slots are used than there are."""

import threading
import time
from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, multiple, rule

from launchd.agent.events import Claimed, EventQueue, Registered, SlotKind
from launchd.agent.server_link.permits import SlotPermits
from launchd.agent.server_link.poller import Poller
from launchd.agent.server_link.protocol import (
    Claimer,
    ClaimResult,
    Heartbeat,
    ItemReporter,
    LinkContext,
)
from launchd.agent.server_link.retry import Stopped
from launchd.client.base import CURRENT_WANDB
from launchd.client.queue_server import Agent, AgentGpus, ClaimedItem, GpuKind, Resumed
from tests.support.threads import link_settings
from tests.support.waiting import wait_until

REGISTERED = Registered("agent-1", "name", "me", ("a",), CURRENT_WANDB)


class MainThreadAndPollers(RuleBasedStateMachine):
    """A model of the main thread, with one poller for each registration, of which only the last may claim."""

    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.permits = SlotPermits()
        self.limit = 0
        self.granted_under = 0
        self.jobs = 0
        self.unread: deque[int] = deque()
        self.stopped = threading.Event()

    @property
    def used(self) -> int:
        return self.jobs + sum(self.unread)

    @initialize(limit=st.integers(0, 8))
    def begin(self, limit: int) -> None:
        self.limit = limit

    @rule(limit=st.integers(0, 8))
    def change_the_limit(self, limit: int) -> None:
        self.limit = limit

    @rule()
    def publish(self) -> None:
        self.permits.grant(max(0, self.limit - self.jobs))
        self.granted_under = self.limit

    @rule()
    def read_a_claim(self) -> None:
        if self.unread:
            items = self.unread.popleft()
            self.permits.count(items)
            self.jobs += items

    @rule()
    def end_a_job(self) -> None:
        self.jobs = max(0, self.jobs - 1)

    @rule()
    def register_anew(self) -> None:
        self.stopped.set()
        self.stopped = threading.Event()

    @rule(target=claims)
    def ask_for_items(self) -> object:
        if not self.permits.wait_for_more(0, 0.0, threading.Event()):
            return multiple()
        return self.permits.wait(threading.Event()), self.stopped

    @rule(claim=consumes(claims), given=st.integers(0, 8))
    def get_items(self, claim: tuple[int, threading.Event], given: int) -> None:
        limit, stopped = claim
        used = self.used
        taken = self.permits.take(min(given, limit), stopped)
        assert not (taken and stopped.is_set())
        assert taken == 0 or used + taken <= self.granted_under
        if taken:
            self.unread.append(taken)

    @rule()
    def count_all(self) -> None:
        while self.unread:
            self.read_a_claim()
        self.publish()
        free = max(0, self.limit - self.jobs)
        assert not self.permits.wait_for_more(free, 0.0, threading.Event())
        assert free == 0 or self.permits.wait_for_more(free - 1, 0.0, threading.Event())


TestMainThreadAndPollers = MainThreadAndPollers.TestCase
TestMainThreadAndPollers.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_every_free_slot_is_permitted_once_all_is_counted() -> None:
    permits, stopped = SlotPermits(), threading.Event()
    permits.grant(3)
    assert permits.take(2, stopped) == 2
    permits.grant(3)
    assert permits.wait(stopped) == 1
    permits.count(2)
    permits.grant(3)
    assert permits.wait(stopped) == 3


def test_a_slot_that_went_during_the_claim_is_not_taken() -> None:
    permits, stopped = SlotPermits(), threading.Event()
    permits.grant(3)
    assert permits.wait(stopped) == 3
    permits.grant(1)
    assert permits.take(3, stopped) == 1


def test_waiting_ends_with_the_poller() -> None:
    permits, stopped = SlotPermits(), threading.Event()

    def wait() -> None:
        with pytest.raises(Stopped):
            permits.wait(stopped)

    thread = threading.Thread(target=wait)
    thread.start()
    stopped.set()
    permits.wake()
    thread.join(5.0)
    assert not thread.is_alive()


class EndlessQueue:
    """A protocol and claimer whose server always has items; asked by several pollers at once."""

    claim_kinds: tuple[SlotKind, ...] = (SlotKind.JOB,)
    claims_what_fits = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made = 0
        self.returned = 0
        self.claimed = 0

    def claim(self, limit: int, gpus: AgentGpus | None) -> ClaimResult:  # noqa: ARG002
        time.sleep(0.001)
        with self._lock:
            self._made += 1
            # Now one, now as many as may be.
            items = [ClaimedItem(f"item-{self._made}-{i}", "a", {}) for i in range(1 if self._made % 3 else limit)]
            self.claimed += len(items)
        return ClaimResult(tuple(items))

    def reset_pause(self) -> None:
        pass

    def give_back(self, items: Sequence[ClaimedItem]) -> None:
        with self._lock:
            self.returned += len(items)

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:  # noqa: ARG002
        return self

    def report_gpus(self, agent_id: str, incarnation: str, gpus: AgentGpus) -> None:
        raise NotImplementedError

    def find_agent(self, agent_id: str) -> Agent | None:
        raise NotImplementedError

    def resume_agent(self, *_: object) -> Resumed | None:
        raise NotImplementedError

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        raise NotImplementedError

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        raise NotImplementedError

    def deregister(self, agent_id: str, incarnation: str) -> None:
        raise NotImplementedError


def test_pollers_of_successive_registrations_never_exceed_the_slots() -> None:
    """The main thread publishes as often as it can, reads late, ends jobs, and registers anew all the time."""
    max_jobs = 4
    protocol, events, permits = EndlessQueue(), EventQueue(), SlotPermits()
    jobs = accepted = most = 0
    pollers: list[Poller] = []
    ends_at = time.monotonic() + 1.5
    turn = 0
    while time.monotonic() < ends_at:
        turn += 1
        if turn % 50 == 1:
            for poller in pollers[-1:]:
                poller.end()
            pollers.append(Poller(protocol, SlotKind.JOB, permits, REGISTERED, link_settings(), events))
            pollers[-1].start()
        for event in events.take_all():
            match event:
                case Claimed(items):
                    permits.count(len(items))
                    jobs += len(items)
                    accepted += len(items)
        most = max(most, jobs)
        assert jobs <= max_jobs
        if turn % 3 == 0:
            jobs = max(0, jobs - 2)
        permits.grant(max_jobs - jobs)
        time.sleep(0.0005)
    pollers[-1].end()
    wait_until(lambda: not any(poller.is_alive() for poller in pollers), what="the pollers have ended")
    accepted += sum(len(event.items) for event in events.take_all() if type(event) is Claimed)
    assert most == max_jobs
    assert accepted > 100
    assert protocol.claimed == accepted + protocol.returned


class SlowQueue(EndlessQueue):
    """A server that answers a claim once it is told to, with as many items as were wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.answers = threading.Event()

    def claim(self, limit: int, gpus: AgentGpus | None) -> ClaimResult:  # noqa: ARG002
        self.asked.append(limit)
        self.answers.wait(10.0)
        self.answers.clear()
        return ClaimResult(tuple(ClaimedItem(f"item-{len(self.asked)}-{i}", "a", {}) for i in range(limit)))


def test_no_slot_that_went_during_a_claim_is_used() -> None:
    """`max_jobs` is lowered from 8 to 1 while a claim for 8 items is open."""
    protocol, events, permits = SlowQueue(), EventQueue(), SlotPermits()
    poller = Poller(protocol, SlotKind.JOB, permits, REGISTERED, link_settings(), events)
    permits.grant(8)
    poller.start()
    wait_until(lambda: protocol.asked == [8], what="the claim")
    permits.grant(1)
    protocol.answers.set()
    jobs = ended = 0
    for turn in range(60):
        # The main thread counts what came, and grants what is left of the one slot; now and then the job ends.
        came = sum(len(event.items) for event in events.take_all() if type(event) is Claimed)
        permits.count(came)
        jobs += came
        assert jobs <= 1
        if turn % 20 == 19:
            ended, jobs = ended + jobs, 0
        permits.grant(1 - jobs)
        time.sleep(0.005)
    poller.end()
    wait_until(lambda: not poller.is_alive(), what="the poller has ended")
    assert ended == 3
    assert protocol.asked == [8]
    assert protocol.returned == 8 - 3 - sum(len(event.items) for event in events.take_all() if type(event) is Claimed)


def gpus(version: int, free: int) -> AgentGpus:
    """A host with two GPUs, so many of them free."""
    return AgentGpus(version, (GpuKind("a100", 1 << 30, free, 2, 2, "nvidia", is_instance=False),))


def test_what_a_claim_says_is_free_is_counted_without_the_items_before() -> None:
    """Which GPUs an item gets, the main thread alone decides."""
    permits, stopped = SlotPermits(), threading.Event()
    permits.grant(8, gpus(1, free=2))
    assert permits.take(1, stopped) == 1
    assert waits_in_vain(permits), "it is not counted"
    permits.grant(7, gpus(1, free=2))
    assert waits_in_vain(permits), "granted before the item was counted"
    permits.count(1)
    assert waits_in_vain(permits), "its GPUs are not counted yet"
    permits.grant(7, gpus(2, free=1))
    assert permits.wait(stopped) == 7
    assert permits.gpus == gpus(2, free=1)


def test_a_host_without_gpus_claims_on_while_items_are_counted() -> None:
    permits, stopped = SlotPermits(), threading.Event()
    permits.grant(8, AgentGpus(1))
    assert permits.take(1, stopped) == 1
    assert permits.wait(stopped) == 7


def waits_in_vain(permits: SlotPermits) -> bool:
    """Return whether there is no permit now."""
    ended = threading.Event()
    timer = threading.Timer(0.05, lambda: (ended.set(), permits.wake()))
    timer.start()
    try:
        permits.wait(ended)
    except Stopped:
        return True
    finally:
        timer.cancel()
    return False
