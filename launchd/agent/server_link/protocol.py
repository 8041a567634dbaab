"""What a protocol has to do for an agent, and the values that pass between it and the threads of the server link.

A queue server speaks either the protocol of this project or that of W&B. The registration chooses once; the poller,
the heartbeat loop and the reporter are written over the interfaces below.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from launchd.agent.events import EventQueue, Registered, SlotKind
from launchd.agent.journal import Delivery
from launchd.agent.server_link.retry import RetryingCaller
from launchd.client.errors import Refused
from launchd.client.queue_server import Agent, ClaimedItem, Report, StopRequest

#: W&B's words for the status of an agent: without a job, with jobs, and ended.
AGENT_POLLING = "POLLING"
AGENT_RUNNING = "RUNNING"
AGENT_KILLED = "KILLED"


class LinkSettings(msgspec.Struct, frozen=True):
    """Settings of the server link; times in seconds.

    ``wait_seconds``: how long a request that waits stays open. ``poll_seconds``: the longest pause between polls.
    ``stopped_run_timeout``: how long a stopped run may take to end by itself. ``init_grace_seconds``: how long a run
    may take to appear after its job's end. ``secrets``: values that are masked in every text that is sent.
    """

    wait_seconds: float
    poll_seconds: float
    stopped_run_timeout: float
    init_grace_seconds: float
    secrets: tuple[str, ...]


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

    def claim(self, limit: int) -> ClaimResult:
        """Claim at most ``limit`` items.

        Raises:
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
    """The answer to a heartbeat: what is to be stopped, the time to the next one, and what the server refused."""

    stops: tuple[StopRequest, ...] = ()
    stop_polling: bool = False
    pause_seconds: float = 0.0
    refusal: str | None = None


class Heartbeat(Protocol):
    """Shows the server that the agent lives, and asks it for stop requests."""

    def send(self, runs: Sequence[MonitoredRun]) -> HeartbeatResult:
        """Send one heartbeat; ``runs`` are the active jobs. Raises ``Stopped`` when the thread was told to end."""
        ...


# Reports.


class Acknowledgement(msgspec.Struct, frozen=True):
    """An item to acknowledge: the agent takes it as this run.

    A run of a sweep is not started unless its sweep runs; see the reporter.
    """

    item_id: str
    agent_id: str
    run_id: str
    entity: str
    project: str
    queue: str
    sweep_id: str | None = None


class StatusUpdate(msgspec.Struct, frozen=True):
    """The state of a job before its end, reported by the agent that claimed its item."""

    agent_id: str
    report: Report


class DeliveryAttempt(msgspec.Struct, frozen=True):
    """A row of the outbox to deliver; ``retries`` counts the attempts before this one."""

    delivery: Delivery
    retries: int = 0


class DeliveryResult(msgspec.Struct, frozen=True):
    """What became of attempts: delivered, refused for good (``refusal``), or to repeat after ``retry_seconds``."""

    attempts: tuple[DeliveryAttempt, ...]
    refusal: str | None = None
    retry_seconds: float | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The ids of the rows."""
        return tuple(attempt.delivery.id for attempt in self.attempts)


class ItemReporter(Protocol):
    """Reports on items. Its methods raise ``Stopped`` when the thread was told to end."""

    def acknowledge(self, batch: Sequence[Acknowledgement]) -> Mapping[str, bool]:
        """Acknowledge items; returns by item id whether each is this agent's."""
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

    def warn(self, attempt: DeliveryAttempt) -> None:
        """Deliver a warning; raises ``Refused``."""
        ...

    def requeue(self, attempt: DeliveryAttempt) -> float | None:
        """Put a run back into its queue; returns ``None``, or the seconds to the next attempt. Raises ``Refused``."""
        ...


class ServerProtocol(Protocol):
    """The protocol that one queue server speaks. Any thread may call."""

    #: The kinds of slot that are claimed for apart, each by a thread of its own.
    claim_kinds: tuple[SlotKind, ...]

    def resume_agent(self, agent_id: str, queue_ids: Iterable[str], known_items: Sequence[str]) -> Agent | None:
        """Return the agent that this one was before a restart, or ``None`` where it has to be created anew.

        Items leased to that agent that are not among ``known_items`` go back to their queues.
        """
        ...

    def claimer(self, kind: SlotKind, context: LinkContext) -> Claimer:
        """Return what claims items of ``kind``."""
        ...

    def heartbeat(self, context: LinkContext) -> Heartbeat:
        """Return what sends heartbeats."""
        ...

    def item_reporter(self, context: LinkContext) -> ItemReporter:
        """Return what reports on items."""
        ...

    def deregister(self, agent_id: str) -> None:
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
