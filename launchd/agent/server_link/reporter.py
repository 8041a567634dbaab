"""Reports on items to the queue server, for as long as it takes.

One thread. Acknowledgements go first, because jobs wait for them; then the rows of the outbox, in order, each until the
server has it; then states before the end of jobs, of which only the latest is sent. A row leaves the journal's outbox
through the main thread, once it was delivered.
"""

import contextlib
import heapq
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import msgspec

from launchd.agent.deliveries import JobOutcome, JobWarning
from launchd.agent.events import Acknowledged, Delivered, EventQueue, Registered
from launchd.agent.journal import Delivery
from launchd.agent.server_link.protocol import (
    Acknowledgement,
    DeliveryAttempt,
    DeliveryResult,
    LinkContext,
    LinkSettings,
    ServerProtocol,
    StatusUpdate,
    deliver_each,
)
from launchd.agent.server_link.retry import RetryingCaller, Stopped
from launchd.client.errors import Refused
from launchd.client.queue_server import Report
from launchd.client.runs import ACTIVE_SWEEP_STATES

T = TypeVar("T")

#: The most acknowledgements, or rows of the outbox, in one request.
BATCH = 64

#: A state is sent after this time, if it still is the latest; sending each step of a job's start would delay the start.
STATUS_DELAY_SECONDS = 0.2


class _Deferred(msgspec.Struct, frozen=True, order=True):
    """An attempt to be made at ``due_at``, in monotonic seconds; ``id`` is its row's."""

    due_at: float
    id: int
    attempt: DeliveryAttempt


class Reporter(threading.Thread):
    """Sends reports until told to end."""

    def __init__(
        self, protocol: ServerProtocol, registered: Registered, settings: LinkSettings, events: EventQueue
    ) -> None:
        super().__init__(name="reporter", daemon=True)
        self._events = events
        self._stopped = threading.Event()
        caller = RetryingCaller(events, self._stopped)
        self._items = protocol.item_reporter(LinkContext(registered, settings, events, caller))
        self._work_available = threading.Condition()
        self._acknowledgements: deque[Acknowledgement] = deque()
        self._deliveries: deque[Delivery] = deque()
        self._deferred: list[_Deferred] = []
        self._statuses: dict[str, StatusUpdate] = {}
        self._statuses_due_at = 0.0

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Acknowledge an item; the answer comes back as the event ``Acknowledged``."""
        with self._work_available:
            self._acknowledgements.append(acknowledgement)
            self._work_available.notify()

    def deliver(self, delivery: Delivery) -> None:
        """Deliver a row of the outbox; the event ``Delivered`` follows once the server has it."""
        with self._work_available:
            # A state that was not sent yet is superseded.
            self._statuses.pop(delivery.item_id, None)
            self._deliveries.append(delivery)
            self._work_available.notify()

    def publish_status(self, agent_id: str, report: Report) -> None:
        """Report the state of a job; only the latest one is sent, and it is not kept."""
        with self._work_available:
            if not self._statuses:
                self._statuses_due_at = time.monotonic() + STATUS_DELAY_SECONDS
            self._statuses[report.item_id] = StatusUpdate(agent_id, report)
            self._work_available.notify()

    def end(self) -> None:
        """Stop after the open request."""
        self._stopped.set()
        with self._work_available:
            self._work_available.notify()

    def run(self) -> None:
        """Send reports until told to end."""
        with contextlib.suppress(Stopped):
            while not self._stopped.is_set():
                self._run_once()

    def _run_once(self) -> None:
        with self._work_available:
            while not self._has_work():
                self._work_available.wait(self._seconds_until_due())
            acknowledgements = _take(self._acknowledgements)
            deliveries = _take(self._deliveries)
            statuses = self._take_due_statuses()
        if acknowledgements:
            self._send_acknowledgements(acknowledgements)
        self._send_deliveries(DeliveryAttempt(delivery) for delivery in deliveries)
        if statuses:
            self._items.report_statuses(statuses)
        self._send_deferred()

    def _has_work(self) -> bool:
        if self._stopped.is_set() or self._acknowledgements or self._deliveries:
            return True
        return self._seconds_until_due() == 0

    def _seconds_until_due(self) -> float | None:
        due = [deferred.due_at for deferred in self._deferred[:1]]
        if self._statuses:
            due.append(self._statuses_due_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _take_due_statuses(self) -> tuple[StatusUpdate, ...]:
        if self._statuses_due_at > time.monotonic():
            return ()
        statuses, self._statuses = tuple(self._statuses.values()), {}
        return statuses

    # -- acknowledgements

    def _send_acknowledgements(self, batch: Sequence[Acknowledgement]) -> None:
        accepted = self._items.acknowledge(batch)
        for one in batch:
            is_accepted = accepted.get(one.item_id, False)
            refusal = self._sweep_refusal(one) if is_accepted else None
            self._events.put(Acknowledged(one.item_id, is_accepted, refusal))

    def _sweep_refusal(self, one: Acknowledgement) -> str | None:
        """Return why the run must not start, if its sweep is over or cannot be looked up."""
        if one.sweep_id is None:
            return None
        try:
            state = self._items.sweep_state(one.entity, one.project, one.sweep_id)
        except Refused as error:
            return f"The sweep {one.sweep_id} could not be looked up: {error}"
        if state in ACTIVE_SWEEP_STATES:
            return None
        return f"The sweep {one.sweep_id} is {(state or 'unknown').lower()}, so its run was not started."

    # -- rows of the outbox

    def _send_deliveries(self, attempts: Iterable[DeliveryAttempt]) -> None:
        for kind, group in groupby(attempts, lambda attempt: attempt.delivery.kind):
            for result in self._results(kind, tuple(group)):
                self._settle(result)

    def _results(self, kind: str, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        match kind:
            case JobOutcome.kind:
                return self._items.report_outcomes(attempts)
            case JobWarning.kind:
                return deliver_each(attempts, self._items.warn)
            case _:
                return deliver_each(attempts, self._items.requeue)

    def _settle(self, result: DeliveryResult) -> None:
        if result.retry_seconds is None:
            self._events.put(Delivered(result.ids, result.refusal))
            return
        due_at = time.monotonic() + result.retry_seconds
        for attempt in result.attempts:
            again = DeliveryAttempt(attempt.delivery, attempt.retries + 1)
            heapq.heappush(self._deferred, _Deferred(due_at, attempt.delivery.id, again))

    def _send_deferred(self) -> None:
        while self._deferred and self._deferred[0].due_at <= time.monotonic() and not self._stopped.is_set():
            self._send_deliveries([heapq.heappop(self._deferred).attempt])


def _take(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
