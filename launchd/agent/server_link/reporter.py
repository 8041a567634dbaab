"""Reports on items to the queue server, for as long as it takes.

One thread. Acknowledgements go first, because jobs wait for them; then the rows of the outbox, in order, each until the
server has it or will not take it; then states before the end of jobs, of which only the latest is sent. The main thread
decides what becomes of a row in the journal. What sending one row raises ends that row, never the thread.
"""

import contextlib
import heapq
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import msgspec

from launchd.agent.deliveries import JobOutcome, JobWarning, RequeuedRun
from launchd.agent.events import Acknowledged, Delivered, EventQueue, Registered, Undeliverable
from launchd.agent.outbox_rows import Delivery
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
from launchd.client.queue_server import ItemAnswer, Report
from launchd.client.runs import ACTIVE_SWEEP_STATES

T = TypeVar("T")

#: The most acknowledgements, or rows of the outbox, in one request.
BATCH = 64

#: A state is sent after this time, if it still is the latest; sending each step of a job's start would delay the start.
STATUS_DELAY_SECONDS = 0.2

#: A report in which only the text is new, such as the progress of a build, is sent as seldom as this.
PROGRESS_DELAY_SECONDS = 3.0

#: Of so many items it is remembered which phase was told.
_MOST_PHASES = 10_000

log = logging.getLogger(__name__)


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
        self._caller = RetryingCaller(events, self._stopped)
        self._items = protocol.item_reporter(LinkContext(registered, settings, events, self._caller))
        self._work_available = threading.Condition()
        self._renewal: LinkContext | None = None
        self._acknowledgements: deque[Acknowledgement] = deque()
        self._deliveries: deque[DeliveryAttempt] = deque()
        self._deferred: list[_Deferred] = []
        self._statuses: dict[str, StatusUpdate] = {}
        self._statuses_due_at = 0.0
        self._phases: dict[str, str | None] = {}

    def renew(self, registered: Registered, settings: LinkSettings) -> None:
        """Report as the agent of another registration from now on."""
        with self._work_available:
            self._renewal = LinkContext(registered, settings, self._events, self._caller)
            self._work_available.notify()

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        """Acknowledge an item; the answer comes back as the event ``Acknowledged``.

        There is none where the agent has to register again; the item has to be acknowledged again after that.
        """
        with self._work_available:
            self._acknowledgements.append(acknowledgement)
            self._work_available.notify()

    def deliver(self, delivery: Delivery, *, sent_before: bool = False) -> None:
        """Deliver a row of the outbox; the event ``Delivered`` or ``Undeliverable`` follows.

        ``sent_before``: it may have arrived, sent by an earlier process or before it was refused.
        """
        with self._work_available:
            # A state that was not sent yet is superseded.
            self._statuses.pop(delivery.item_id, None)
            self._phases.pop(delivery.item_id, None)
            self._deliveries.append(DeliveryAttempt(delivery, sent_before=sent_before))
            self._work_available.notify()

    def publish_status(self, agent_id: str, report: Report) -> None:
        """Report the state of a job; only the latest one is sent, and it is not kept."""
        with self._work_available:
            due_at = time.monotonic() + self._delay_of(report)
            self._statuses_due_at = min(due_at, self._statuses_due_at) if self._statuses else due_at
            self._statuses[report.item_id] = StatusUpdate(agent_id, report)
            self._work_available.notify()

    def _delay_of(self, report: Report) -> float:
        is_new = self._phases.get(report.item_id) != report.phase
        if len(self._phases) >= _MOST_PHASES:
            self._phases.clear()
        self._phases[report.item_id] = report.phase
        return STATUS_DELAY_SECONDS if is_new else PROGRESS_DELAY_SECONDS

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
            renewal, self._renewal = self._renewal, None
            acknowledgements = _take(self._acknowledgements)
            deliveries = _take(self._deliveries)
            statuses = self._take_due_statuses()
        if renewal is not None:
            self._items.renew(renewal)
        for batch in _rounds(acknowledgements, lambda one: one.item_id):
            self._send_acknowledgements(batch)
        self._send_deliveries(deliveries)
        if statuses:
            self._items.report_statuses(statuses)
        self._send_deferred()

    def _has_work(self) -> bool:
        if self._stopped.is_set() or self._renewal or self._acknowledgements or self._deliveries:
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
        results = self._items.acknowledge(batch)
        for one in batch:
            result = results.get(one.item_id)
            if result is not None:
                refusal = self._sweep_refusal(one) if result.answer is ItemAnswer.TAKEN else None
                self._events.put(Acknowledged(one.item_id, one.lease, result.answer, result.message, refusal))

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
            for batch in _rounds(group, lambda attempt: attempt.delivery.item_id):
                self._send_rows(kind, batch)

    def _send_rows(self, kind: str, attempts: Sequence[DeliveryAttempt]) -> None:
        left = {attempt.delivery.id: attempt for attempt in attempts}
        try:
            for result in self._results(kind, attempts):
                self._settle(result)
                for delivery_id in result.ids:
                    del left[delivery_id]
        except Stopped:
            raise
        except Exception as error:
            log.exception("Sending rows of the outbox raised an unexpected error.", extra={"deliveries": list(left)})
            self._on_unexpected(kind, tuple(left.values()), error)

    def _results(self, kind: str, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        match kind:
            case JobOutcome.kind:
                return self._items.report_outcomes(attempts)
            case JobWarning.kind:
                return deliver_each(attempts, self._items.warn)
            case RequeuedRun.kind:
                return deliver_each(attempts, self._items.requeue)
            case _:
                unknown = f"This version of launchd knows no row of the kind {kind!r}."
                return iter([DeliveryResult(tuple(attempts), refusal=unknown)])

    def _on_unexpected(self, kind: str, attempts: Sequence[DeliveryAttempt], error: Exception) -> None:
        """Settle a row whose sending raised ``error``; of several rows, find out which one it is."""
        if len(attempts) > 1:
            for attempt in attempts:
                self._send_rows(kind, (attempt,))
            return
        if attempts:
            sentence = f"The row cannot be read or sent: {type(error).__name__}: {error}"
            self._settle(DeliveryResult(tuple(attempts), refusal=sentence))

    def _settle(self, result: DeliveryResult) -> None:
        if result.refusal is not None:
            self._events.put(Undeliverable(result.ids, result.refusal))
        elif result.retry_seconds is None:
            self._events.put(Delivered(result.ids))
        else:
            self._defer(result.attempts, time.monotonic() + result.retry_seconds)

    def _defer(self, attempts: Iterable[DeliveryAttempt], due_at: float) -> None:
        for attempt in attempts:
            again = msgspec.structs.replace(attempt, retries=attempt.retries + 1)
            heapq.heappush(self._deferred, _Deferred(due_at, attempt.delivery.id, again))

    def _send_deferred(self) -> None:
        while self._deferred and self._deferred[0].due_at <= time.monotonic() and not self._stopped.is_set():
            self._send_deliveries([heapq.heappop(self._deferred).attempt])


def _take(waiting: deque[T]) -> list[T]:
    return [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]


def _rounds(batch: Iterable[T], item_of: Callable[[T], str]) -> Iterator[list[T]]:
    """Yield ``batch`` in order, in parts that have each item once: one request has one answer about an item."""
    part: dict[str, T] = {}
    for one in batch:
        item_id = item_of(one)
        if item_id in part:
            yield list(part.values())
            part.clear()
        part[item_id] = one
    if part:
        yield list(part.values())
