"""The protocol of this project's own queue server.

Claims and stop requests wait at the server until there is something to answer. Acknowledgements and reports go in
batches and may be repeated without harm.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from launchd.agent.deliveries import decode_outcome
from launchd.agent.events import SlotKind
from launchd.agent.server_link.item_reports import CommonItemReporter
from launchd.agent.server_link.protocol import (
    AGENT_KILLED,
    AGENT_POLLING,
    AGENT_RUNNING,
    Acknowledgement,
    Claimer,
    ClaimResult,
    DeliveryAttempt,
    DeliveryResult,
    Heartbeat,
    HeartbeatResult,
    ItemReporter,
    LinkContext,
    MonitoredRun,
    StatusUpdate,
)
from launchd.agent.server_link.requeue import KeyedRequeue, UnkeyedRequeue
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import Ack, Agent, ClaimedItem, QueueServer

#: The pause after stop requests: the server repeats them until a heartbeat lists them as seen.
REPEATED_STOP_SECONDS = 0.2

NOT_TAKEN = "it was deleted meanwhile, or is another agent's"

log = logging.getLogger(__name__)

T = TypeVar("T")


class LaunchdProtocol:
    """Speaks to one queue server of this project."""

    claim_kinds: tuple[SlotKind, ...] = (SlotKind.JOB, SlotKind.SCHEDULER)

    def __init__(self, server: QueueServer) -> None:
        self._server = server

    def resume_agent(self, agent_id: str, queue_ids: Iterable[str], known_items: Sequence[str]) -> Agent | None:
        """Return the agent with this id, unless the server forgot it, told it to end, or has it at other queues."""
        agent = self._server.agent(agent_id)
        if agent is None:
            return None
        self._server.resume_agent(agent.id, known_items)
        same_queues = set(agent.queue_ids or ()) == set(queue_ids)
        return agent if same_queues and not agent.stop_polling else None

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:
        """Return what claims items of ``kind``."""
        return LaunchdClaimer(self._server, kind, context)

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        """Return what sends heartbeats."""
        return LaunchdHeartbeat(self._server, context)

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        """Return what reports on items."""
        return LaunchdItemReporter(self._server, context)

    def deregister(self, agent_id: str) -> None:
        """Tell the server that the agent has ended."""
        self._server.update_agent(agent_id, AGENT_KILLED)


class LaunchdClaimer:
    """Claims as many items as there are permits, in one request that waits for the first."""

    def __init__(self, server: QueueServer, kind: SlotKind, context: LinkContext) -> None:
        self._server = server
        self._kind = kind
        self._agent_id = context.registered.agent_id
        self._wait_seconds = context.settings.wait_seconds
        self._caller = context.caller

    def claim(self, limit: int) -> ClaimResult:
        """Claim at most ``limit`` items; there may be none after ``wait_seconds``."""
        jobs, schedulers = (limit, 0) if self._kind is SlotKind.JOB else (0, limit)
        # The same claim id until there is an answer: the server repeats an answer that was lost.
        claim_id = uuid.uuid4().hex
        claim = self._caller.retry_forever(
            lambda: self._server.claim(self._agent_id, claim_id, jobs, schedulers, self._wait_seconds)
        )
        return ClaimResult(claim.items)

    def reset_pause(self) -> None:
        """Do nothing: there is no pause between claims that wait at the server."""

    def give_back(self, items: Sequence[ClaimedItem]) -> None:
        """Return claimed items to their queues."""
        with contextlib.suppress(QueueServerError):
            self._server.return_items(self._agent_id, [item.item_id for item in items])


class LaunchdHeartbeat:
    """Shows that the agent lives with requests that wait for stop requests."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        self._server = server
        self._agent_id = context.registered.agent_id
        self._wait_seconds = context.settings.wait_seconds
        self._refused_seconds = context.settings.poll_seconds
        self._caller = context.caller

    def send(self, runs: Sequence[MonitoredRun]) -> HeartbeatResult:
        """Wait for stop requests; returns without any after ``wait_seconds``."""
        seen = [run.item_id for run in runs if run.stopping]
        status = AGENT_RUNNING if runs else AGENT_POLLING
        try:
            commands = self._caller.retry_forever(
                lambda: self._server.watch(self._agent_id, status, seen, self._wait_seconds)
            )
        except Refused as error:
            return HeartbeatResult(pause_seconds=self._refused_seconds, refusal=str(error))
        pause = REPEATED_STOP_SECONDS if commands.stops or commands.stop_polling else 0.0
        return HeartbeatResult(commands.stops, commands.stop_polling, pause)


class LaunchdItemReporter(CommonItemReporter):
    """Reports on items in batches, each in the name of the agent that claimed it."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        super().__init__(server, context)
        # Early versions of the server, and the queue of a program, know no keys.
        knows_keys = context.registered.capabilities.push_key
        self._requeues = (KeyedRequeue if knows_keys else UnkeyedRequeue)(server, context.caller)

    def acknowledge(self, batch: Sequence[Acknowledgement]) -> Mapping[str, bool]:
        """Acknowledge items in one request for each agent."""
        accepted: dict[str, bool] = {}
        for agent_id, group in _by_agent(batch):
            acks = [Ack(one.item_id, one.run_id) for one in group]
            accepted |= self._accepted(partial(self._server.ack_many, agent_id), acks)
        return accepted

    def report_statuses(self, updates: Sequence[StatusUpdate]) -> None:
        """Report states before the end of their jobs."""
        for agent_id, group in _by_agent(updates):
            reports = [update.report for update in group]
            self._accepted(partial(self._server.report_many, agent_id), reports)

    def report_outcomes(self, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        """Deliver outcomes in one request for each agent."""
        for agent_id, group in _by_agent([attempt.delivery for attempt in attempts]):
            reports = [decode_outcome(delivery.body).report for delivery in group]
            accepted = self._accepted(partial(self._server.report_many, agent_id), reports)
            taken = tuple(DeliveryAttempt(one) for one in group if accepted.get(one.item_id))
            refused = tuple(DeliveryAttempt(one) for one in group if not accepted.get(one.item_id))
            if taken:
                yield DeliveryResult(taken)
            if refused:
                yield DeliveryResult(refused, NOT_TAKEN)

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Put a run back into its queue."""
        return self._requeues.requeue(attempt)

    def _accepted(self, send: Callable[[list[T]], dict[str, bool]], batch: list[T]) -> dict[str, bool]:
        """Send ``batch``; one that is refused as a whole says nothing of each, so its halves are sent apart."""
        if len(batch) == 1:
            return self._accepted_alone(send, batch)
        try:
            return self._caller.retry_forever(lambda: send(batch))
        except Refused:
            middle = len(batch) // 2
            return self._accepted(send, batch[:middle]) | self._accepted(send, batch[middle:])

    def _accepted_alone(self, send: Callable[[list[T]], dict[str, bool]], batch: list[T]) -> dict[str, bool]:
        try:
            return self._caller.retry_refusals(lambda: send(batch))
        except Refused as error:
            log.error("The queue server refused a report.", extra={"error": str(error)})
            return {}


class _HasAgent(Protocol):
    @property
    def agent_id(self) -> str: ...


A = TypeVar("A", bound=_HasAgent)


def _by_agent(batch: Sequence[A]) -> list[tuple[str, list[A]]]:
    """Return ``batch`` by the agent that claimed the items; after a change of queues there may be two."""
    groups: dict[str, list[A]] = {}
    for one in batch:
        groups.setdefault(one.agent_id, []).append(one)
    return list(groups.items())
