"""Events: what the other threads tell the main thread.

The main thread owns all mutable state. A thread that learnt something puts a frozen value into the queue, which wakes
the main thread, and goes on.
"""

from enum import StrEnum
from typing import Any

import msgspec

from ipc.gpu_probe import GpuSample
from ipc.watch_service import WatchReport
from launchd.agent.waking_queue import WakingQueue
from launchd.client.queue_server import Capabilities, ClaimedItem, HeldByServer, ItemAnswer, Resumed, StopRequest


class Registered(msgspec.Struct, frozen=True):
    """The agent is registered at the queue server, for the queues ``queue_names`` of ``entity``.

    ``agent_id`` and ``agent_name`` are empty at an old W&B server, which keeps no record of agents.
    ``for_team`` says that the entity is a team. ``resumed`` says what the registration settled about the items of the
    agent; ``None`` for a new agent at a W&B server.
    """

    agent_id: str
    agent_name: str
    entity: str
    queue_names: tuple[str, ...]
    capabilities: Capabilities
    for_team: bool = False
    resumed: Resumed | None = None


class RegistrationRefused(msgspec.Struct, frozen=True):
    """The queue server refuses the registration, or claims after it; ``error`` says why."""

    error: str


class QueueError(msgspec.Struct, frozen=True):
    """The queue server refuses to give items of ``queue``, or gives them again (``error`` is ``None``)."""

    queue: str
    error: str | None


class SlotKind(StrEnum):
    """The kinds of slot that are counted apart: ``max_jobs`` of the one, ``max_schedulers`` of the other."""

    JOB = "job"
    SCHEDULER = "scheduler"


class Claimed(msgspec.Struct, frozen=True):
    """Items were leased to the agent ``agent_id``, with permits for slots of ``kind``."""

    items: tuple[ClaimedItem, ...]
    agent_id: str
    kind: SlotKind


class Polled(msgspec.Struct, frozen=True):
    """A claim took ``seconds`` and brought ``found`` items."""

    seconds: float
    found: int


class StopRequested(msgspec.Struct, frozen=True):
    """The queue server wants jobs stopped (``stops``), or the agent drained (``stop_polling``)."""

    stops: tuple[StopRequest, ...]
    stop_polling: bool


class DrainTakenBack(msgspec.Struct, frozen=True):
    """The queue server does not want the agent drained any more, as it did before."""


class Acknowledged(msgspec.Struct, frozen=True):
    """The queue server answered the acknowledgement of an item under ``lease``.

    ``message`` says why the answer is a no; ``refusal`` says why the item must not run although it was taken.
    """

    item_id: str
    lease: int
    answer: ItemAnswer
    message: str | None = None
    refusal: str | None = None


class UsersFree(msgspec.Struct, frozen=True):
    """Of these numbers of users, which belonged to jobs, nothing is left on this host."""

    numbers: tuple[int, ...]


class GpusSeen(msgspec.Struct, frozen=True):
    """The probe has looked at the GPUs of this host."""

    sample: GpuSample


class GpuProbeFailed(msgspec.Struct, frozen=True):
    """The GPUs of this host cannot be looked at; ``why`` is a sentence."""

    why: str


class WatcherReported(msgspec.Struct, frozen=True):
    """What watches the target ``resource`` for all workers has told something."""

    resource: str
    told: WatchReport


class WatcherEnded(msgspec.Struct, frozen=True):
    """Nothing watches the target ``resource`` until another process does."""

    resource: str


class Delivered(msgspec.Struct, frozen=True):
    """The queue server has what these rows of the outbox say."""

    ids: tuple[int, ...]


class Undeliverable(msgspec.Struct, frozen=True):
    """The queue server will not take these rows of the outbox, however often they are sent; ``reason`` says why."""

    ids: tuple[int, ...]
    reason: str


class ItemsUnknown(msgspec.Struct, frozen=True):
    """The queue server holds these items as this agent's, and the agent did not say so, twice in a row."""

    items: tuple[HeldByServer, ...]


class OutputWanted(msgspec.Struct, frozen=True):
    """A reader looks at the output of these items at the queue server."""

    items: tuple[str, ...]


class RegistrationLost(msgspec.Struct, frozen=True):
    """The agent ``agent_id`` has to register again; ``reason`` says why."""

    agent_id: str
    reason: str


class ServerContact(msgspec.Struct, frozen=True):
    """The queue server answered at ``at`` (seconds since the epoch), or did not (``error``)."""

    at: float
    error: str | None = None


class WorkerSpawned(msgspec.Struct, frozen=True):
    """A worker process was started; ``worker`` is the spawner's."""

    worker: Any


class WorkerSpawnFailed(msgspec.Struct, frozen=True):
    """No worker process could be started."""

    error: str


class ControlRequest(msgspec.Struct, frozen=True):
    """A request came through the control socket; ``reply`` is put one dict."""

    request: dict[str, Any]
    reply: Any


class SignalReceived(msgspec.Struct, frozen=True):
    """A signal arrived."""

    number: int


class ThreadDied(msgspec.Struct, frozen=True):
    """A thread of the agent met an unexpected error; the log has its traceback."""

    thread: str
    error: str


#: What became of rows of the outbox.
DeliveryEvent = Delivered | Undeliverable

#: What the queue server says of items and of reports on them.
ItemEvent = Claimed | Polled | StopRequested | ItemsUnknown | OutputWanted | Acknowledged | DeliveryEvent

#: How the agent stands with the queue server.
LinkEvent = Registered | RegistrationRefused | RegistrationLost | DrainTakenBack | QueueError | ServerContact

#: What the threads of the server link tell.
ServerEvent = ItemEvent | LinkEvent

#: What is known of changes of workloads.
WatchEvent = WatcherReported | WatcherEnded

#: What processes tell that serve all jobs.
ServiceEvent = GpusSeen | GpuProbeFailed | WatchEvent

Event = (
    ServerEvent
    | ServiceEvent
    | WorkerSpawned
    | WorkerSpawnFailed
    | ControlRequest
    | SignalReceived
    | UsersFree
    | ThreadDied
)


class EventQueue(WakingQueue[Event]):
    """Events for the main thread."""
