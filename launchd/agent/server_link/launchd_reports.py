"""What is told of items to this project's own queue server, in batches that may be repeated without harm.

The server answers about each item. An answer about the agent, that it is unknown, is none about an item: the agent
registers again, and what was not answered is sent again. Runs on the reporter's thread.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar

import msgspec

from launchd.agent.deliveries import decode_outcome
from launchd.agent.events import RegistrationLost
from launchd.agent.server_link.item_reports import CommonItemReporter
from launchd.agent.server_link.protocol import (
    Acknowledgement,
    DeliveryAttempt,
    DeliveryResult,
    LinkContext,
    StatusUpdate,
)
from launchd.agent.server_link.requeue import KeyedRequeue, UnkeyedRequeue
from launchd.client.errors import Refused, UnknownAgent
from launchd.client.queue_server import Ack, ItemAnswer, ItemResult, QueueServer, Report

#: The pause before rows are sent again that the server did not answer about, because the agent was unknown to it.
UNREGISTERED_SECONDS = 2.0

#: What an answer means, where the server sends no sentence with it.
SENTENCES = {
    ItemAnswer.OVER: "The item has ended, otherwise than reported.",
    ItemAnswer.LEASE_ENDED: "The lease has ended: the item went back to its queue, or was leased again.",
    ItemAnswer.UNKNOWN: "The queue server has no such item that this agent may use.",
    ItemAnswer.REFUSED: "The queue server refused it without a reason.",
}

T = TypeVar("T")


class _Told(msgspec.Struct, Generic[T], frozen=True):
    """What the server is told of one item: by the agent ``agent_id``, where no lease number says more."""

    item_id: str
    agent_id: str
    lease: int
    value: T


_Send = Callable[[str, list[T]], dict[str, ItemResult]]


class LaunchdItemReporter(CommonItemReporter):
    """Reports on items in batches, as the agent that the registration made this one."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        super().__init__(server, context)
        self._events = context.events
        self._is_lost = False
        # Early versions of the server, and the queue of a program, know no keys.
        knows_keys = context.registered.capabilities.push_key
        self._requeues = (KeyedRequeue if knows_keys else UnkeyedRequeue)(server, context.caller)

    def renew(self, context: LinkContext) -> None:
        """Report as the agent of another registration from now on."""
        super().renew(context)
        self._is_lost = False

    def acknowledge(self, batch: Sequence[Acknowledgement]) -> Mapping[str, ItemResult]:
        """Acknowledge items in one request."""
        told = [
            _Told(one.item_id, one.agent_id, one.lease, Ack(one.item_id, one.run_id, one.lease or None))
            for one in batch
        ]
        return self._answers(self._server.ack_many, told)

    def report_statuses(self, updates: Sequence[StatusUpdate]) -> None:
        """Report states before the end of their jobs. A no changes nothing: heartbeats compare what both sides hold."""
        self._answers(self._server.report_many, [_report(one.report, one.agent_id) for one in updates])

    def report_outcomes(self, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        """Deliver outcomes in one request."""
        told = [
            _report(decode_outcome(attempt.delivery.body).report, attempt.delivery.agent_id) for attempt in attempts
        ]
        yield from _results(attempts, self._answers(self._server.report_many, told))

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Put a run back into its queue."""
        return self._requeues.requeue(attempt)

    def _answers(self, send: _Send[T], batch: Sequence[_Told[T]]) -> dict[str, ItemResult]:
        """Return the answers by item id. There is none where the agent is unknown to the server."""
        present = self._registered.agent_id
        answers: dict[str, ItemResult] = {}
        for agent_id, group in _by_agent(batch, present):
            answers |= self._answers_to(send, agent_id, group)
        moved = [one for one in batch if _may_have_moved(one, present, answers.get(one.item_id))]
        if moved:
            answers |= self._answers_to(send, present, moved)
        return answers

    def _answers_to(self, send: _Send[T], agent_id: str, batch: Sequence[_Told[T]]) -> dict[str, ItemResult]:
        try:
            return self._sent(partial(send, agent_id), batch)
        except UnknownAgent as error:
            if agent_id == self._registered.agent_id:
                self._note_loss(str(error))
            return {}

    def _note_loss(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._events.put(RegistrationLost(self._registered.agent_id, reason))

    def _sent(
        self, send: Callable[[list[T]], dict[str, ItemResult]], batch: Sequence[_Told[T]]
    ) -> dict[str, ItemResult]:
        """Send ``batch``; one that is refused as a whole says nothing of each, so its halves are sent apart."""
        if len(batch) == 1:
            return self._sent_alone(send, batch[0])
        try:
            return self._caller.retry_forever(lambda: send([one.value for one in batch]))
        except UnknownAgent:
            raise
        except Refused:
            middle = len(batch) // 2
            return self._sent(send, batch[:middle]) | self._sent(send, batch[middle:])

    def _sent_alone(self, send: Callable[[list[T]], dict[str, ItemResult]], one: _Told[T]) -> dict[str, ItemResult]:
        try:
            return self._caller.retry_refusals(lambda: send([one.value]))
        except UnknownAgent:
            raise
        except Refused as error:
            return {one.item_id: ItemResult(one.item_id, ItemAnswer.REFUSED, str(error))}


def _report(report: Report, agent_id: str) -> _Told[Report]:
    return _Told(report.item_id, agent_id, report.lease or 0, report)


def _by_agent(batch: Sequence[_Told[T]], present: str) -> list[tuple[str, list[_Told[T]]]]:
    """Return ``batch`` by the agent that says it: the present one, where a number says which lease is meant."""
    groups: dict[str, list[_Told[T]]] = {}
    for one in batch:
        groups.setdefault(present if one.lease else one.agent_id, []).append(one)
    return list(groups.items())


def _may_have_moved(one: _Told[T], present: str, result: ItemResult | None) -> bool:
    """Whether the item may be the present agent's, taken along by a registration, and no lease number says so."""
    if one.lease or one.agent_id == present:
        return False
    return result is None or result.answer is ItemAnswer.LEASE_ENDED


def _results(attempts: Sequence[DeliveryAttempt], answers: Mapping[str, ItemResult]) -> Iterator[DeliveryResult]:
    delivered, unanswered, refused = [], [], []
    for attempt in attempts:
        result = answers.get(attempt.delivery.item_id)
        if result is None:
            unanswered.append(attempt)
        elif result.answer in (ItemAnswer.TAKEN, ItemAnswer.STALE):
            delivered.append(attempt)
        else:
            refused.append(DeliveryResult((attempt,), refusal=result.message or SENTENCES[result.answer]))
    if delivered:
        yield DeliveryResult(tuple(delivered))
    if unanswered:
        yield DeliveryResult(tuple(unanswered), retry_seconds=UNREGISTERED_SECONDS)
    yield from refused
