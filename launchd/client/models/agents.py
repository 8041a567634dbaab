"""Agents: who they are, what they hold and have free, and what the server asks of them."""

from datetime import datetime

import msgspec

from launchd.client.models.items import Item, ItemResult


class AgentIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which process an agent is. `incarnation` is a random text per process, `previous_incarnation` the one before it.

    `machine_id` stands for a state directory on a host, None where the host has no id.
    """

    incarnation: str
    previous_incarnation: str | None = None
    machine_id: str | None = None
    hostname: str
    version: str


class Agent(
    msgspec.Struct,
    frozen=True,
    rename={
        "status": "agentStatus",
        "stop_polling": "stopPolling",
        "queue_ids": "runQueues",
        "created_at": "createdAt",
        "seconds_since_heartbeat": "secondsSinceHeartbeat",
        "entity": "entityName",
        "queue_names": "queueNames",
        "held_items": "heldItems",
    },
):
    """A registered agent. `status` is W&B's: POLLING, RUNNING or KILLED; at launchd's own server DRAINING too.
    Fields after `queue_ids`: launchd protocol.

    `held_items` are the oldest of the items that it has, at most 20; None: they were not asked for.
    """

    id: str
    name: str
    status: str | None = None
    stop_polling: bool = False
    hostname: str | None = None
    queue_ids: tuple[str, ...] | None = ()
    created_at: datetime | None = None
    version: str | None = None
    seconds_since_heartbeat: float | None = None
    entity: str | None = None
    queue_names: tuple[str, ...] = ()
    held_items: tuple[Item, ...] | None = None


class HeldItem(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "run_id": "runName"}):
    """An item that the agent holds, as the agent knows it. `lease` is 0 where the journal is of an earlier version."""

    item_id: str
    lease: int
    run_id: str | None
    acknowledged: bool


class HeldByServer(
    msgspec.Struct,
    frozen=True,
    rename={"item_id": "runQueueItemId", "queue": "queueName", "run_id": "runName"},
):
    """An item that the agent has acknowledged, as the server knows it."""

    item_id: str
    lease: int
    queue: str
    run_id: str | None = None


class Resumed(msgspec.Struct, frozen=True, rename="camel"):
    """What a resumption settled: leases that went back, items that the agent does not know, an answer per held item."""

    returned: tuple[str, ...] = ()
    unknown_to_agent: tuple[HeldByServer, ...] = ()
    results: tuple[ItemResult, ...] = ()


class GpuKind(msgspec.Struct, frozen=True, rename="camel"):
    """GPUs of a host that are alike: `usable` are not set aside, `free` can be given to a job. `memory` is in bytes."""

    name: str
    memory: int
    free: int
    usable: int
    total: int
    vendor: str
    is_instance: bool


class AgentGpus(msgspec.Struct, frozen=True, rename="camel"):
    """What an agent tells of its GPUs. `version` increases with each change; `devices` are words that name one."""

    version: int
    kinds: tuple[GpuKind, ...] = ()
    devices: tuple[str, ...] = ()
    free_devices: tuple[str, ...] = ()

    @property
    def free(self) -> int:
        """How many are free."""
        return sum(kind.free for kind in self.kinds)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(kind.total for kind in self.kinds)


class StopRequest(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId"}):
    """A request to stop an item; `reason` is the requester's."""

    item_id: str
    reason: str | None = None


class AgentCommands(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a watch: requests to stop the agent (`stop_polling`) or items, and what both sides disagree on.

    `unknown_to_agent` are items that the agent has acknowledged and does not hold; `must_resume` says that resuming
    would settle a difference. `outputs` are items whose output a reader looks at.
    """

    stop_polling: bool = False
    stops: tuple[StopRequest, ...] = ()
    unknown_to_agent: tuple[HeldByServer, ...] = ()
    must_resume: bool = False
    outputs: tuple[str, ...] = ()
