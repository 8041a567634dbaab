"""How the other threads speak to the main thread: frozen values and a wake-up.

The main thread owns all mutable state; a thread that learnt something puts a
value here and goes on.
"""

import contextlib
import os
from collections import deque
from enum import StrEnum
from typing import Any

import msgspec

from launchd.client.queue_server import Capabilities, ClaimedItem, StopRequest


class Registered(msgspec.Struct, frozen=True):
    """The queue server knows us; ``queue_names`` are the queues we serve.

    ``agent_id`` and ``agent_name`` are empty at an old W&B server, which keeps no record of agents.
    ``for_team`` says that the entity is a team.
    """

    agent_id: str
    agent_name: str
    entity: str
    queue_names: tuple[str, ...]
    capabilities: Capabilities
    for_team: bool = False


class RegistrationRefused(msgspec.Struct, frozen=True):
    """The queue server will not have us as configured; ``error`` says why."""

    error: str


class QueueError(msgspec.Struct, frozen=True):
    """The queue server refuses to give items of ``queue``, or gives them again (``error`` is None)."""

    queue: str
    error: str | None


class SlotKind(StrEnum):
    """What is counted apart: ``max_jobs`` for the one, ``max_schedulers`` for the other."""

    JOB = "job"
    SCHEDULER = "scheduler"


class Claimed(msgspec.Struct, frozen=True):
    """Items that are leased to us, as ``agent_id``, by the loop of ``poller`` that claims ``kind``."""

    items: tuple[ClaimedItem, ...]
    agent_id: str
    poller: int
    kind: SlotKind


class StopRequested(msgspec.Struct, frozen=True):
    """What the queue server wants stopped: jobs, or us."""

    stops: tuple[StopRequest, ...]
    stop_polling: bool


class Acknowledged(msgspec.Struct, frozen=True):
    """The queue server's answer to our acknowledgement; ``refusal`` says why the item is not to be run."""

    item_id: str
    accepted: bool
    refusal: str | None = None


class Delivered(msgspec.Struct, frozen=True):
    """These rows of the outbox have reached the queue server, or it will never have them (``refusal``)."""

    ids: tuple[int, ...]
    refusal: str | None = None


class ServerContact(msgspec.Struct, frozen=True):
    """The queue server was reached at ``at``, or was not (``error``)."""

    at: float
    error: str | None = None


class WorkerSpawned(msgspec.Struct, frozen=True):
    """A worker process was started; ``worker`` is the pool's."""

    worker: Any


class WorkerSpawnFailed(msgspec.Struct, frozen=True):
    """No worker process could be started."""

    error: str


class ControlRequest(msgspec.Struct, frozen=True):
    """Somebody asks through the control socket; ``reply`` takes one dict."""

    request: dict[str, Any]
    reply: Any


class SignalReceived(msgspec.Struct, frozen=True):
    """A signal arrived."""

    number: int


class ThreadDied(msgspec.Struct, frozen=True):
    """A thread of ours met an error that nobody expected; its traceback is in the log."""

    thread: str
    error: str


ServerEvent = (
    Registered | RegistrationRefused | QueueError | Claimed | StopRequested | Acknowledged | Delivered | ServerContact
)

Event = ServerEvent | WorkerSpawned | WorkerSpawnFailed | ControlRequest | SignalReceived | ThreadDied


class EventQueue:
    """Letters to the main thread; ``put`` may be called from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def put(self, event: Event) -> None:
        """Leave ``letter`` and wake the main thread."""
        self._events.append(event)
        with contextlib.suppress(BlockingIOError):  # Enough wake-ups are waiting already.
            os.write(self._writer, b".")

    def take_all(self) -> list[Event]:
        """Return what was left since the last call, in order."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with the next letter."""
        return self._reader
