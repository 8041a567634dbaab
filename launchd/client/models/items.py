"""Items: claimed, acknowledged, reported on, and as users see them."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class ClaimedItem(
    msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "queue": "queueName", "run_spec": "runSpec"}
):
    """A run queue item that is leased to the agent, with its run spec as the server resolved it.

    `lease` is the number of the lease; 0 at a W&B server, which numbers none.
    """

    item_id: str
    queue: str
    run_spec: dict[str, Any]
    lease: int = 0


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a claim. `stop_polling`: the agent was asked to end."""

    items: tuple[ClaimedItem, ...] = ()
    stop_polling: bool = False


class Ack(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "run_id": "runName"}):
    """An acknowledgement: the agent runs this item as the run `run_id` (W&B calls the run id a name)."""

    item_id: str
    run_id: str
    lease: int | None = None


class ItemAnswer(StrEnum):
    """The server's answer about one item of a batch."""

    TAKEN = "TAKEN"
    """Done, now or before."""
    STALE = "STALE"
    """A state earlier than the last one known: there is nothing to do."""
    OVER = "OVER"
    """The item has ended, otherwise than reported."""
    LEASE_ENDED = "LEASE_ENDED"
    """The lease is not the item's present one: the item is in its queue again, or another agent's."""
    UNKNOWN = "UNKNOWN"
    """There is no such item that the agent may use."""
    REFUSED = "REFUSED"
    """This can never be accepted; the message says why."""


class ItemResult(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId"}):
    """The server's answer about one item, with a sentence about one that is a no."""

    item_id: str
    answer: ItemAnswer
    message: str | None = None


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """One change of a job, for the server. `sequence` grows per item; the server ignores one that it has seen.

    `occurred_at` is in seconds since the epoch, by the agent's clock. `lease` is the number of the lease that the
    report is about; without it, the one that the agent has.
    """

    item_id: str = msgspec.field(name="runQueueItemId")
    sequence: int
    status: str
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    occurred_at: float | None = None
    lease: int | None = None


class ItemWarning(msgspec.Struct, frozen=True, rename="camel"):
    """A warning about an item; `stage` is W&B's agent, build or run."""

    message: str
    stage: str | None = None
    created_at: datetime | None = None


class Item(msgspec.Struct, frozen=True, rename="camel"):
    """A run queue item. Fields after `associated_run_id`: launchd protocol.

    `gpus` are the GPUs that it asks for, in words; `fits_no_agent`: no living agent of its queue could ever fit it.
    """

    id: str
    state: str
    associated_run_id: str | None = None
    queue_name: str | None = None
    entity_name: str | None = None
    priority: int | None = None
    run_spec: dict[str, Any] | None = None
    created_at: datetime | None = None
    leased_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    launch_agent_id: str | None = None
    status: str | None = None
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    warnings: tuple[ItemWarning, ...] = ()
    stop_requested: bool = False
    stop_reason: str | None = None
    gpus: str | None = None
    fits_no_agent: bool = False


class ItemReason(msgspec.Struct, frozen=True):
    """Why an item is where it is: a word for programs, a sentence for people. Launchd protocol."""

    code: str
    sentence: str


class ItemReasons(msgspec.Struct, frozen=True, rename="camel"):
    """An item with its reasons: why it waits, was refused or failed. Launchd protocol."""

    id: str
    queue_name: str
    state: str
    why: tuple[ItemReason, ...] = ()
