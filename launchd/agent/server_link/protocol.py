"""What a protocol has to do for an agent, and the values that pass between it and the threads of the server link.

A queue server speaks either the protocol of this project or that of W&B. The registration chooses once; the poller,
the heartbeat loop and the reporter are written over the interfaces below.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from launchd.agent.events import EventQueue, Registered, SlotKind
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.retry import RetryingCaller
from launchd.client.errors import Refused
from launchd.client.queue_server import (
    Agent,
    AgentGpus,
    AgentIdentity,
    ClaimedItem,
    HeldByServer,
    HeldItem,
    ItemResult,
    OutputPiece,
    Report,
    Resumed,
    StopRequest,
)

#: W&B's words for the status of an agent: without a job, with jobs, and ended; and one of launchd's own server.
AGENT_POLLING = "POLLING"
AGENT_RUNNING = "RUNNING"
AGENT_DRAINING = "DRAINING"
AGENT_KILLED = "KILLED"


class LinkSettings(msgspec.Struct, frozen=True):
    """Settings of the server link; times in seconds.

    ``wait_seconds``: how long a request that waits stays open. ``poll_seconds``: the longest pause between polls.
    ``stopped_run_timeout``: how long a stopped run may take to end by itself. ``init_grace_seconds``: how long a run
    may take to appear after its job's end. ``secrets``: values that are masked in every text that is sent.
    ``incarnation``: which process this is; see :class:`AgentIdentity`.
    """

    wait_seconds: float
    poll_seconds: float
    stopped_run_timeout: float
    init_grace_seconds: float
    secrets: tuple[str, ...]
    incarnation: str


class LinkContext(msgspec.Struct, frozen=True):
    """What the part of a protocol that serves one thread works with."""

    registered: Registered
    settings: LinkSettings
    events: EventQueue
    caller: RetryingCaller


# Claiming.


class ClaimResult(msgspec.Struct, frozen=True):
    """Items that were claimed; without any, ``pause_seconds`` is the time to the next claim."""

    items: tuple[ClaimedItem, ...] = ()
    pause_seconds: float = 0.0


class Claimer(Protocol):
    """Claims items of one kind."""

    def claim(self, limit: int, gpus: AgentGpus | None) -> ClaimResult:
        """Claim at most ``limit`` items that fit ``gpus``, where the server can be asked so; ``None``: any items.

        Raises:
            UnknownAgent, SecondIncarnation: the agent has to register again.
            Refused: the server does not let this agent claim.
            Stopped: the thread was told to end meanwhile.
        """
        ...

    def reset_pause(self) -> None:
        """Pause shortly after the next claim: slots have become free."""
        ...

    def give_back(self, items: Sequence[ClaimedItem]) -> None:
        """Return claimed items to their queues. Where that fails, the end of their leases returns them."""
        ...


# Heartbeat and stop requests.


class MonitoredRun(msgspec.Struct, frozen=True):
    """An active job that the queue server may want stopped; ``stopping`` once the agent has the request."""

    item_id: str
    entity: str
    project: str
    run_id: str
    stopping: bool = False


class HeartbeatResult(msgspec.Struct, frozen=True):
    """The answer to a heartbeat: what is to be stopped, the time to the next one, and what the server refused.

    ``unknown`` are items that the server holds as the agent's and the agent does not know; ``lost`` says why the agent
    has to register again. ``outputs`` are items whose output a reader looks at.
    """

    stops: tuple[StopRequest, ...] = ()
    stop_polling: bool = False
    pause_seconds: float = 0.0
    refusal: str | None = None
    unknown: tuple[HeldByServer, ...] = ()
    lost: str | None = None
    outputs: tuple[str, ...] = ()


class Heartbeat(Protocol):
    """Shows the server that the agent lives, and asks it for stop requests."""

    def set_draining(self, *, drains: bool) -> None:
        """Set whether the agent takes no more jobs, which the next heartbeats say."""
        ...

    def send(self, runs: Sequence[MonitoredRun], held: Sequence[HeldItem], sent: Sequence[str] = ()) -> HeartbeatResult:
        """Send one heartbeat; ``runs`` are the active jobs, ``held`` all items that the agent has.

        ``sent`` are the items whose output it sends already.

        Raises:
            Stopped: the thread was told to end.
        """
        ...

    def send_status(self, runs: Sequence[MonitoredRun]) -> None:
        """Tell the status alone, now, while a heartbeat waits for its answer; raises ``QueueServerError``."""
        ...


# Reports.


class Acknowledgement(msgspec.Struct, frozen=True):
    """An item to acknowledge: the agent takes it as this run, under ``lease``, which W&B's servers do not number.

    A run of a sweep is not started unless its sweep runs; see the reporter.
    """

    item_id: str
    agent_id: str
    run_id: str
    entity: str
    project: str
    queue: str
    sweep_id: str | None = None
    lease: int = 0


class StatusUpdate(msgspec.Struct, frozen=True):
    """The state of a job before its end, reported by the agent that claimed its item."""

    agent_id: str
    report: Report


class DeliveryAttempt(msgspec.Struct, frozen=True):
    """A row of the outbox to deliver; ``retries`` counts the attempts before this one.

    ``sent_before`` says that it may have arrived before: an earlier process sent it, or it was refused.
    """

    delivery: Delivery
    retries: int = 0
    sent_before: bool = False


class DeliveryResult(msgspec.Struct, frozen=True):
    """What became of attempts: delivered, refused for good (``refusal``), or to repeat after ``retry_seconds``.

    ``refusal`` is a sentence of what is known, and true of each of the attempts.
    """

    attempts: tuple[DeliveryAttempt, ...]
    refusal: str | None = None
    retry_seconds: float | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the rows."""
        return tuple(attempt.delivery.id for attempt in self.attempts)


class ItemReporter(Protocol):
    """Reports on items. Its methods raise ``Stopped`` when the thread was told to end.

    A batch has each item once.
    """

    def renew(self, context: LinkContext) -> None:
        """Report as the agent of another registration from now on."""
        ...

    def acknowledge(self, batch: Sequence[Acknowledgement]) -> Mapping[str, ItemResult]:
        """Acknowledge items; returns the answers by item id. There is none where the agent has to register again."""
        ...

    def sweep_state(self, entity: str, project: str, sweep: str) -> str | None:
        """Return the state of a sweep, ``None`` for an unknown one; raises ``Refused``."""
        ...

    def report_statuses(self, updates: Sequence[StatusUpdate]) -> None:
        """Report states before the end of their jobs, where the server has a place for them."""
        ...

    def report_outcomes(self, attempts: Sequence[DeliveryAttempt]) -> Iterator[DeliveryResult]:
        """Deliver outcomes; yields results until each attempt is part of one."""
        ...

    def warn(self, attempt: DeliveryAttempt) -> float | None:
        """Deliver a warning; returns ``None``, or the seconds to the next attempt. Raises ``Refused``."""
        ...

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Put a run back into its queue; returns ``None``, or the seconds to the next attempt. Raises ``Refused``."""
        ...


class ServerProtocol(Protocol):
    """The protocol that one queue server speaks. Any thread may call."""

    #: The kinds of slot that are claimed for apart, each by a thread of its own.
    claim_kinds: tuple[SlotKind, ...]

    @property
    def claims_what_fits(self) -> bool:
        """Whether the server can be told which GPUs are free, and then hands out what fits."""
        ...

    def find_agent(self, agent_id: str) -> Agent | None:
        """Return the agent that this one was before, or ``None`` where it has to be created anew."""
        ...

    def resume_agent(
        self, agent_id: str, identity: AgentIdentity, held: Sequence[HeldItem], previous_ids: Sequence[str]
    ) -> Resumed | None:
        """Become the agent with this id, take the items of ``previous_ids`` along, and agree about all ``held``.

        Returns ``None`` where the server has no such notion.

        Raises:
            UnknownAgent: there is no such agent. `SecondIncarnation`: another living process is it.
        """
        ...

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:
        """Return what claims items of ``kind``."""
        ...

    def report_gpus(self, agent_id: str, incarnation: str, gpus: AgentGpus) -> None:
        """Tell which GPUs are free, where the server :attr:`claims_what_fits`; raises ``QueueServerError``."""
        ...

    @property
    def takes_output(self) -> bool:
        """Whether the server passes on the output of jobs, and keeps its end."""
        ...

    def send_output(self, item_id: str, agent_id: str, incarnation: str, piece: OutputPiece) -> float:
        """Send a piece of an output, where the server :attr:`takes_output`; raises ``QueueServerError``.

        Returns for how many seconds more is wanted.
        """
        ...

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        """Return what sends heartbeats."""
        ...

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        """Return what reports on items."""
        ...

    def deregister(self, agent_id: str, incarnation: str) -> None:
        """Tell the server that the agent has ended; raises ``QueueServerError``."""
        ...


def deliver_each(
    attempts: Iterable[DeliveryAttempt], send: Callable[[DeliveryAttempt], float | None]
) -> Iterator[DeliveryResult]:
    """Deliver ``attempts`` one by one; ``send`` returns ``None``, or the seconds after which to repeat it."""
    for attempt in attempts:
        yield _delivered(attempt, send)


def _delivered(attempt: DeliveryAttempt, send: Callable[[DeliveryAttempt], float | None]) -> DeliveryResult:
    try:
        return DeliveryResult((attempt,), retry_seconds=send(attempt))
    except Refused as error:
        return DeliveryResult((attempt,), refusal=str(error))
