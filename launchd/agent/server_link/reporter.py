"""Tells the queue server what became of its items, for as long as it takes.

One thread. Acknowledgements first, because jobs wait for them; outcomes next,
in order, each until the server has it; states in between only as they are now.
What must survive us is a row of the journal's outbox, and leaves it through the
main thread once the server has it.
"""

import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

import msgspec

from launchd.agent.events import Acknowledged, Delivered, EventQueue, Registered
from launchd.agent.journal import Delivery
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.agent.server_link.wandb_reports import WandbReporter
from launchd.client.errors import Refused
from launchd.client.models import report_decoder
from launchd.client.queue_server import Ack, QueueServer, Report
from launchd.client.runs import ACTIVE_SWEEP_STATES

T = TypeVar("T")


class _HasAgent(Protocol):
    @property
    def agent_id(self) -> str: ...


A = TypeVar("A", bound=_HasAgent)

#: The most outcomes or acknowledgements in one request.
BATCH = 64

#: A state is told after this, if it still is one: to tell of each step of a job's start would delay that start.
STATUS_DELAY_SECONDS = 0.2

log = logging.getLogger(__name__)


class Acknowledgement(msgspec.Struct, frozen=True):
    """An item to be confirmed as ours. Its sweep, if it has one, must still be running: W&B's sweep state rule."""

    item_id: str
    agent_id: str
    run_id: str
    entity: str
    project: str
    queue: str
    sweep_id: str | None = None


class _Deferred(msgspec.Struct, frozen=True, order=True):
    """A delivery that is not done yet: something has to be seen first. ``due_at`` is monotonic."""

    due_at: float
    id: int
    delivery: Delivery
    retries: int


class _StatusUpdate(msgspec.Struct, frozen=True):
    agent_id: str
    report: Report


class Reporter(threading.Thread):
    """Delivers until told to end."""

    def __init__(
        self,
        server: QueueServer,
        registered: Registered,
        events: EventQueue,
        *,
        agent_run: AgentRun,
        secrets: tuple[str, ...],
        init_grace_seconds: float,
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self._server = server
        self._registered = registered
        self._native = registered.capabilities.launchd_protocol
        self._events = events
        self._stopped = threading.Event()
        self._caller = RetryingCaller(events, self._stopped)
        self._wandb = WandbReporter(
            server, registered, self._caller, agent_run, secrets=secrets, init_grace_seconds=init_grace_seconds
        )
        self._work_available = threading.Condition()
        self._acknowledgements: deque[Acknowledgement] = deque()
        self._deliveries: deque[Delivery] = deque()
        self._deferred: list[_Deferred] = []
        self._statuses: dict[str, _StatusUpdate] = {}
        self._statuses_due_at = 0.0

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Confirm an item; the answer arrives in the inbox as ``Acknowledged``."""
        with self._work_available:
            self._acknowledgements.append(acknowledgement)
            self._work_available.notify()

    def deliver(self, delivery: Delivery) -> None:
        """Deliver a row of the outbox; ``Delivered`` arrives when the server has it."""
        with self._work_available:
            # The outcome replaces what was still to be said of the way to it.
            self._statuses.pop(delivery.item_id, None)
            self._deliveries.append(delivery)
            self._work_available.notify()

    def publish_status(self, agent_id: str, report: Report) -> None:
        """Say how a job stands; only the latest word on each is sent, and lost with us."""
        if self._native:
            with self._work_available:
                if not self._statuses:
                    self._statuses_due_at = time.monotonic() + STATUS_DELAY_SECONDS
                self._statuses[report.item_id] = _StatusUpdate(agent_id, report)
                self._work_available.notify()

    def end(self) -> None:
        """Stop after the request under way."""
        self._stopped.set()
        with self._work_available:
            self._work_available.notify()

    def run(self) -> None:
        """Deliver for ever."""
        try:
            while not self._stopped.is_set():
                self._run_once()
        except Stopped:
            pass

    def _run_once(self) -> None:
        with self._work_available:
            while not self._has_work():
                self._work_available.wait(self._seconds_until_due())
            acknowledgements = _take(self._acknowledgements)
            deliveries = _take(self._deliveries)
            states = self._take_due_statuses()
        if acknowledgements:
            self._send_acknowledgements(acknowledgements)
        if deliveries:
            self._send_deliveries(deliveries)
        if states:
            self._send_statuses(states)
        self._send_deferred()

    def _send_deferred(self) -> None:
        while self._deferred and self._deferred[0].due_at <= time.monotonic() and not self._stopped.is_set():
            later = heapq.heappop(self._deferred)
            self._send_one(later.delivery, later.retries)

    def _has_work(self) -> bool:
        if self._stopped.is_set() or self._acknowledgements or self._deliveries:
            return True
        return self._seconds_until_due() == 0

    def _seconds_until_due(self) -> float | None:
        due = [later.due_at for later in self._deferred[:1]]
        if self._statuses:
            due.append(self._statuses_due_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _take_due_statuses(self) -> tuple[_StatusUpdate, ...]:
        if self._statuses_due_at > time.monotonic():
            return ()
        states, self._statuses = tuple(self._statuses.values()), {}
        return states

    # -- acknowledgements

    def _send_acknowledgements(self, batch: Sequence[Acknowledgement]) -> None:
        accepted = self._accepted(batch)
        for one in batch:
            refusal = self._sweep_refusal(one) if accepted.get(one.item_id) else None
            self._events.put(Acknowledged(one.item_id, accepted.get(one.item_id, False), refusal))

    def _accepted(self, batch: Sequence[Acknowledgement]) -> dict[str, bool]:
        if not self._native:
            return {one.item_id: self._accepted_by_wandb(one) for one in batch}
        accepted: dict[str, bool] = {}
        for agent_id, group in _by_agent(batch):
            acks = [Ack(one.item_id, one.run_id) for one in group]
            accepted |= self._accepted_by_server(partial(self._server.ack_many, agent_id, acks))
        return accepted

    def _accepted_by_wandb(self, one: Acknowledgement) -> bool:
        try:
            return self._caller.retry_refusals(
                lambda: self._server.ack(one.item_id, one.run_id) or self._acknowledged_before(one)
            )
        except Refused:
            return False

    def _acknowledged_before(self, one: Acknowledgement) -> bool:
        # W&B's server refuses a second acknowledgement, also where the answer to our first one got lost.
        item = self._server.queue_item(self._registered.entity, one.queue, one.item_id)
        return item is not None and item.state == "CLAIMED" and item.associated_run_id == one.run_id

    def _sweep_refusal(self, one: Acknowledgement) -> str | None:
        sweep = one.sweep_id
        if sweep is None:
            return None
        try:
            state = self._caller.retry_refusals(lambda: self._server.sweep_state(one.entity, one.project, sweep))
        except Refused as error:
            return f"The sweep {sweep} could not be looked up: {error}"
        if state in ACTIVE_SWEEP_STATES:
            return None
        return f"The sweep {sweep} is {(state or 'unknown').lower()}, so its run was not started."

    # -- outcomes, warnings, requeued runs

    def _send_deliveries(self, batch: Sequence[Delivery]) -> None:
        if self._native:
            outcomes = [delivery for delivery in batch if delivery.kind == "outcome"]
            self._send_outcomes(outcomes)
            batch = [delivery for delivery in batch if delivery.kind != "outcome"]
        for delivery in batch:
            self._send_one(delivery)

    def _send_outcomes(self, outcomes: Sequence[Delivery]) -> None:
        for agent_id, group in _by_agent(outcomes):
            reports = [report_decoder.decode(delivery.body) for delivery in group]
            taken = self._accepted_by_server(partial(self._server.report_many, agent_id, reports))
            self._events.put(Delivered(tuple(one.id for one in group if taken.get(one.item_id))))
            refused = tuple(one.id for one in group if not taken.get(one.item_id))
            if refused:
                self._events.put(Delivered(refused, "it was deleted meanwhile, or is another agent's"))

    def _accepted_by_server(self, ask: Callable[[], dict[str, bool]]) -> dict[str, bool]:
        try:
            return self._caller.retry_forever(ask)
        except Refused as error:
            log.error("The queue server refused what it was told.", extra={"error": str(error)})
            return {}

    def _send_one(self, delivery: Delivery, looks: int = 0) -> None:
        try:
            pause = self._wandb.deliver(delivery, looks)
        except Refused as error:
            self._events.put(Delivered((delivery.id,), str(error)))
            return
        if pause is None:
            self._events.put(Delivered((delivery.id,)))
        else:
            heapq.heappush(self._deferred, _Deferred(time.monotonic() + pause, delivery.id, delivery, looks + 1))

    # -- states on the way

    def _send_statuses(self, states: Sequence[_StatusUpdate]) -> None:
        for agent_id, group in _by_agent(states):
            reports = [one.report for one in group]
            self._accepted_by_server(partial(self._server.report_many, agent_id, reports))


def _take(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]


def _by_agent(batch: Sequence[A]) -> list[tuple[str, list[A]]]:
    """Return ``batch`` by the agent its items belong to: nearly always one."""
    groups: dict[str, list[A]] = {}
    for one in batch:
        groups.setdefault(one.agent_id, []).append(one)
    return list(groups.items())
