"""The protocol of W&B's servers.

A W&B server answers at once, so queues, agents and runs are asked again and again. It acknowledges items one by one,
and learns of most outcomes from the run of the job (:mod:`launchd.agent.server_link.wandb_reports`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from launchd.agent.backoff import Backoff
from launchd.agent.events import QueueError, SlotKind
from launchd.agent.server_link.agent_run import AgentRun
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
    deliver_each,
)
from launchd.agent.server_link.requeue import UnkeyedRequeue
from launchd.agent.server_link.wandb_reports import OutcomeReports
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import (
    Agent,
    AgentGpus,
    AgentIdentity,
    ClaimedItem,
    HeldItem,
    Item,
    ItemAnswer,
    ItemResult,
    OutputPiece,
    QueueServer,
    Resumed,
    StopRequest,
)

#: Pauses between polls of empty queues start short, because one job often follows another. The longest is the
#: configuration's ``poll_seconds``, by default that of W&B's agent.
FIRST_POLL_SECONDS = 1.0
POLL_GROWTH = 1.5
POLL_JITTER = (0.8, 1.0)

#: How often an unchanged status is repeated as a sign of life, as W&B's agent does.
STATUS_SECONDS = 20.0

STOPPED_RUN_REASON = "its run was stopped on the queue server"

T = TypeVar("T")


class WandbProtocol:
    """Speaks to one W&B server."""

    #: Its queues cannot be asked for sweep schedulers alone.
    claim_kinds: tuple[SlotKind, ...] = (SlotKind.JOB,)

    #: It hands out the first item, also where that asks for more GPUs than are free; such a job waits on its host.
    claims_what_fits: bool = False

    #: A run's own client sends its output there.
    takes_output: bool = False

    def __init__(self, server: QueueServer) -> None:
        self._server = server
        self._agent_run = AgentRun(server)

    def find_agent(self, agent_id: str) -> Agent | None:  # noqa: ARG002 - the interface's
        """Return ``None``: a W&B server sees a new agent at each start."""
        return None

    def resume_agent(
        self,
        agent_id: str,  # noqa: ARG002
        identity: AgentIdentity,  # noqa: ARG002
        held: Sequence[HeldItem],  # noqa: ARG002
        previous_ids: Sequence[str],  # noqa: ARG002
    ) -> Resumed | None:
        """Return ``None``: a W&B server does not compare what it holds with what the agent holds."""
        return None

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:  # noqa: ARG002 - there is one kind
        """Return what claims jobs and sweep schedulers."""
        return WandbClaimer(self._server, context)

    def report_gpus(self, agent_id: str, incarnation: str, gpus: AgentGpus) -> None:
        """Do nothing: a W&B server does not ask for GPUs."""

    def send_output(
        self,
        item_id: str,  # noqa: ARG002
        agent_id: str,  # noqa: ARG002
        incarnation: str,  # noqa: ARG002
        piece: OutputPiece,  # noqa: ARG002
    ) -> float:
        """Send nothing: a W&B server has a run's output from its client."""
        return 0.0

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        """Return what sends heartbeats."""
        return WandbHeartbeat(self._server, self._agent_run, context)

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        """Return what reports on items."""
        return WandbItemReporter(self._server, self._agent_run, context)

    def deregister(self, agent_id: str, incarnation: str) -> None:  # noqa: ARG002 - the interface's
        """Tell the server that the agent has ended, and end the agent's run."""
        self._server.update_agent(agent_id, AGENT_KILLED)
        self._agent_run.end()


class WandbClaimer:
    """Pops one item at a time, from all queues in turn."""

    def __init__(self, server: QueueServer, context: LinkContext) -> None:
        registered = context.registered
        self._server = server
        self._caller = context.caller
        self._events = context.events
        self._entity = registered.entity
        self._agent_id = registered.agent_id or None
        self._rotation = deque(registered.queue_names)
        longest = context.settings.poll_seconds
        self._backoff = Backoff(FIRST_POLL_SECONDS, longest, growth=POLL_GROWTH, jitter=POLL_JITTER)
        self._queue_errors: dict[str, str] = {}

    def claim(self, limit: int, gpus: AgentGpus | None) -> ClaimResult:  # noqa: ARG002 - a pop is of any one item
        """Pop one item, from the first queue that has one."""
        wait = 0.0
        for queue in list(self._rotation):
            try:
                item = self._pop(queue)
            except QueueServerError as error:
                # The other queues are asked all the same.
                wait = max(wait, self._caller.pause_after(error))
                continue
            if item is not None:
                # The queue goes to the end, as at W&B's agent, so that none starves another.
                self._rotation.remove(queue)
                self._rotation.append(queue)
                self._backoff.reset()
                return ClaimResult((item,))
        spaced = self._server.transport.rate_limit.spacing() * len(self._rotation)
        return ClaimResult(pause_seconds=max(wait, spaced, self._backoff.next_pause()))

    def reset_pause(self) -> None:
        """Start again with short pauses."""
        self._backoff.reset()

    def give_back(self, items: Sequence[ClaimedItem]) -> None:
        """Do nothing: W&B's protocol cannot return items, so their leases have to end."""

    def _pop(self, queue: str) -> ClaimedItem | None:
        return self._caller.call(lambda: self._pop_or_note_refusal(queue))

    def _pop_or_note_refusal(self, queue: str) -> ClaimedItem | None:
        try:
            item = self._server.pop(self._entity, queue, self._agent_id)
        except Refused as error:
            self._note_error(queue, str(error))
            return None
        self._note_error(queue, None)
        return item

    def _note_error(self, queue: str, error: str | None) -> None:
        if self._queue_errors.get(queue) == error:
            return
        if error is None:
            del self._queue_errors[queue]
        else:
            self._queue_errors[queue] = error
        self._events.put(QueueError(queue, error))


class WandbHeartbeat:
    """Repeats the agent's status, and asks whether the agent or one of its runs is to stop."""

    def __init__(self, server: QueueServer, agent_run: AgentRun, context: LinkContext) -> None:
        self._server = server
        self._agent_run = agent_run
        self._caller = context.caller
        self._agent_id = context.registered.agent_id
        self._poll_seconds = context.settings.poll_seconds
        self._stopped_run_timeout = context.settings.stopped_run_timeout
        self._sent_status: str | None = None
        self._sent_status_at = 0.0
        self._refusal: str | None = None
        self._stopped_since: dict[str, float] = {}

    def set_draining(self, *, drains: bool) -> None:
        """Do nothing: W&B has no word for it."""

    def send_status(self, runs: Sequence[MonitoredRun]) -> None:
        """Do nothing: each heartbeat comes soon, as its answer is not waited for."""

    def send(
        self,
        runs: Sequence[MonitoredRun],
        held: Sequence[HeldItem],  # noqa: ARG002
        sent: Sequence[str] = (),  # noqa: ARG002
    ) -> HeartbeatResult:
        """Send the status if that is due, and ask about the agent and about each run."""
        self._agent_run.heartbeat()
        self._refusal = None
        # An item may come again, as another run.
        self._stopped_since = {
            run.item_id: self._stopped_since[run.item_id] for run in runs if run.item_id in self._stopped_since
        }
        stop_polling = self._poll_agent(runs) if self._agent_id else False
        stops = tuple(StopRequest(run.item_id, STOPPED_RUN_REASON) for run in runs if self._is_due(run))
        requests = len(runs) + 1
        pause = max(self._poll_seconds, self._server.transport.rate_limit.spacing() * requests)
        return HeartbeatResult(stops, stop_polling, pause, self._refusal)

    def _poll_agent(self, runs: Sequence[MonitoredRun]) -> bool:
        """Show a sign of life; returns whether the agent was asked to end."""
        self._send_status(AGENT_RUNNING if runs else AGENT_POLLING)
        agent = self._ask(lambda: self._server.agent(self._agent_id))
        return agent is not None and agent.stop_polling

    def _send_status(self, status: str) -> None:
        now = time.monotonic()
        if status == self._sent_status and now - self._sent_status_at < STATUS_SECONDS:
            return
        if self._ask(lambda: self._update_agent(status)):
            self._sent_status, self._sent_status_at = status, now

    def _update_agent(self, status: str) -> bool:
        self._server.update_agent(self._agent_id, status)
        return True

    def _is_due(self, run: MonitoredRun) -> bool:
        """Whether ``run`` was stopped so long ago that the agent has to end it: W&B's ``stopped_run_timeout``."""
        if run.stopping:
            return False
        stopped = self._ask(lambda: self._server.run_stopped(run.entity, run.project, run.run_id))
        if stopped is None:
            return False
        if not stopped:
            self._stopped_since.pop(run.item_id, None)
            return False
        now = time.monotonic()
        return now - self._stopped_since.setdefault(run.item_id, now) >= self._stopped_run_timeout

    def _ask(self, ask: Callable[[], T]) -> T | None:
        """Return the result of ``ask``, or ``None`` where the server refuses: the other questions are still asked."""
        try:
            return self._caller.retry_forever(ask)
        except Refused as error:
            self._refusal = str(error)
            return None


class WandbItemReporter(CommonItemReporter):
    """Reports on items one by one."""

    def __init__(self, server: QueueServer, agent_run: AgentRun, context: LinkContext) -> None:
        super().__init__(server, context)
        self._agent_run = agent_run
        self._outcomes = OutcomeReports(server, agent_run, context)
        self._requeues = UnkeyedRequeue(server, context.caller)

    def renew(self, context: LinkContext) -> None:
        """Report as the agent of another registration from now on."""
        super().renew(context)
        self._outcomes = OutcomeReports(self._server, self._agent_run, context)

    def acknowledge(self, batch: Sequence[Acknowledgement]) -> Mapping[str, ItemResult]:
        """Acknowledge items one by one."""
        return {one.item_id: self._answer(one) for one in batch}

    def report_statuses(self, updates: Sequence[StatusUpdate]) -> None:
        """Do nothing: a W&B server learns the states of a job from its run."""

    def report_outcomes(self, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        """Report the outcomes that the runs of their jobs do not show."""
        return deliver_each(attempts, self._outcomes.report)

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Put a run back into its queue, after a look whether it is there."""
        return self._requeues.requeue(attempt)

    def _answer(self, one: Acknowledgement) -> ItemResult:
        try:
            return self._caller.retry_refusals(lambda: self._acknowledge(one))
        except Refused as error:
            return self._answer_after_refusal(one, str(error))

    def _acknowledge(self, one: Acknowledgement) -> ItemResult:
        if self._server.ack(one.item_id, one.run_id):
            return ItemResult(one.item_id, ItemAnswer.TAKEN)
        # A W&B server refuses a second acknowledgement, also where only the answer to the first one was lost.
        item = self._find(one)
        if _is_acknowledged(item, one):
            return ItemResult(one.item_id, ItemAnswer.TAKEN)
        return ItemResult(one.item_id, ItemAnswer.LEASE_ENDED, _not_taken(item))

    def _answer_after_refusal(self, one: Acknowledgement, reason: str) -> ItemResult:
        try:
            if _is_acknowledged(self._caller.retry_refusals(lambda: self._find(one)), one):
                return ItemResult(one.item_id, ItemAnswer.TAKEN)
        except Refused:
            pass  # Nothing more is known than that the acknowledgement was refused.
        return ItemResult(one.item_id, ItemAnswer.REFUSED, reason)

    def _find(self, one: Acknowledgement) -> Item | None:
        return self._server.queue_item(self._registered.entity, one.queue, one.item_id)


def _is_acknowledged(item: Item | None, one: Acknowledgement) -> bool:
    return item is not None and item.state == "CLAIMED" and item.associated_run_id == one.run_id


def _not_taken(item: Item | None) -> str:
    if item is None:
        return "The queue server did not take the acknowledgement, and its queue no longer has the item."
    run = f" as run {item.associated_run_id}" if item.associated_run_id else ""
    return f"The queue server did not take the acknowledgement: it has the item as {item.state}{run}."
