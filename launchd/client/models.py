"""Values that a queue server sends and receives, frozen.

Owns the fields, their names and nullability on the wire; `queue_server.py` re-exports the common ones. No behaviour, no
I/O. Fields marked "launchd protocol" are sent by launchd's own server only; a W&B server leaves their defaults.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class Capabilities(msgspec.Struct, frozen=True):
    """The operations and arguments that a server has, found by introspection.

    `launchd_protocol`: it is launchd's own server, with claims that wait, watches and reports. `is_private`: its items
    are for this agent alone, so that none of them waits here in place of elsewhere.
    `launchd_protocol`: it is launchd's own server, with claims that wait, watches and reports. `gpu_claims`: it hands
    out what fits the GPUs that a claim says are free. `outputs`: it passes on and keeps the output of jobs.
    `find_items`: it finds items by the beginning of an id and the like. `queue_control`: it pauses queues, moves
    items that wait, and changes their priorities. `agent_control`: it takes back that an agent was asked to
    leave, stops all items of one, and says which it has.
    """

    launch_agents: bool
    agent_config: bool
    fail_item: bool
    fail_details: bool
    item_warnings: bool
    push_priority: bool
    launchd_protocol: bool
    queue_config: bool
    item_by_id: bool
    run_files: bool
    push_key: bool
    artifact_memberships: bool = False
    is_private: bool = False
    gpu_claims: bool = False
    outputs: bool = False
    find_items: bool = False
    queue_control: bool = False
    agent_control: bool = False


class Viewer(msgspec.Struct, frozen=True):
    """The owner of an API key. `entity` is the default entity; `teams` are the other entities that the key may use."""

    username: str | None = None
    entity: str | None = None
    teams: tuple[str, ...] = ()


class Queue(msgspec.Struct, frozen=True):
    """A queue, with the fields that an agent needs."""

    id: str
    name: str
    access: str | None = "PROJECT"


class QueueDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A queue, with the fields that are shown to users. Counts, entity and times: launchd protocol.

    `paused_at`: since when it gives out nothing; None: it gives out.
    """

    id: str
    name: str = ""
    access: str | None = "PROJECT"
    prioritization_mode: str | None = None
    resource_type: str | None = None
    resource_config: Any = None
    entity_name: str | None = None
    pending_count: int | None = None
    claimed_count: int | None = None
    created_at: datetime | None = None
    paused_at: datetime | None = None
    paused_by: str | None = None


class QueueSettings(msgspec.Struct, frozen=True):
    """The settings of a queue.

    `config` is `{"resource_args": {resource: {...}}}`; `template_variables` has for each name its JSON schema;
    `external_links` is `{"links": [{"label": ..., "url": ...}]}`.
    """

    id: str
    access: str | None = None
    prioritization_mode: str | None = None
    external_links: Any = None
    resource: str | None = None
    config: Any = None
    template_variables: dict[str, dict[str, Any]] = {}


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
    held_items: tuple["Item", ...] | None = None


class AgentIdentity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which process an agent is. `incarnation` is a random text per process, `previous_incarnation` the one before it.

    `machine_id` stands for a state directory on a host, None where the host has no id.
    """

    incarnation: str
    previous_incarnation: str | None = None
    machine_id: str | None = None
    hostname: str
    version: str


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


class Resumed(msgspec.Struct, frozen=True, rename="camel"):
    """What a resumption settled: leases that went back, items that the agent does not know, an answer per held item."""

    returned: tuple[str, ...] = ()
    unknown_to_agent: tuple[HeldByServer, ...] = ()
    results: tuple[ItemResult, ...] = ()


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


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a claim. `stop_polling`: the agent was asked to end."""

    items: tuple[ClaimedItem, ...] = ()
    stop_polling: bool = False


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


class Ack(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "run_id": "runName"}):
    """An acknowledgement: the agent runs this item as the run `run_id` (W&B calls the run id a name)."""

    item_id: str
    run_id: str
    lease: int | None = None


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


class RunDetail(msgspec.Struct, frozen=True):
    """A run. `name` is the run id; `config` and `summary` are its values, without the keys that W&B's client adds."""

    name: str
    display_name: str
    state: str
    stopped: bool = False
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}

    @property
    def id(self) -> str:
        """The run id, as `wandb.Api().run(...).id`."""
        return self.name


class RunSource(msgspec.Struct, frozen=True):
    """The source of a run: a repository, a commit, and the command there."""

    remote: str
    commit: str | None
    command: tuple[str, ...]


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


class KeyDetail(msgspec.Struct, frozen=True, rename="camel"):
    """An API key without its secret. `role` is VIEWER, MEMBER, ADMIN or AGENT."""

    id: str
    description: str | None = None
    role: str = ""
    created_at: datetime | None = None
    last_used_at: datetime | None = None


class UserDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A user or a service account, whose `entity` is its team. `admin`: administrator of the server."""

    id: str
    username: str
    email: str | None = None
    entity: str | None = None
    admin: bool | None = None
    is_service_account: bool = False


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """A member of a team. `account_type` is MEMBER or SERVICE, `role` VIEWER, MEMBER or ADMIN."""

    id: str
    username: str
    role: str
    email: str | None = None
    account_type: str | None = None


class CreatedKey(msgspec.Struct):
    """A new key, which the server sends once."""

    key: str

    def __repr__(self) -> str:
        return "CreatedKey(key=...)"


class DeletedAccount(msgspec.Struct, frozen=True, rename="camel"):
    """What went with a user, a service account or a team: how many API keys, queues and service accounts."""

    keys: int = 0
    queues: int = 0
    service_accounts: int = 0


class ResetKeys(msgspec.Struct, frozen=True):
    """How many keys of a user were revoked, and the new one, or the file on the server's host that has it."""

    revoked: int
    key: str | None = None
    file: str | None = None

    def __repr__(self) -> str:
        return f"ResetKeys(revoked={self.revoked}, key=..., file={self.file!r})"


class AccountEvent(msgspec.Struct, frozen=True, rename="camel"):
    """What another user did to the keys of an account."""

    actor: str
    created_at: datetime
    sentence: str


class Name(msgspec.Struct, frozen=True):
    """The name of an object that belongs to a version, such as its type or collection, and of the latter the id."""

    name: str = ""
    id: str = ""


class Alias(msgspec.Struct, frozen=True):
    """An alias of a version; `v0` and the like are aliases too."""

    alias: str


class ArtifactVersion(msgspec.Struct, frozen=True, rename="camel"):
    """A version of an artifact. `state` is PENDING, COMMITTED or DELETED; `artifact_sequence` is its collection."""

    id: str
    state: str = ""
    version_index: int | None = None
    description: str | None = None
    metadata: str | None = None
    created_at: str | None = None
    artifact_type: Name = Name()
    artifact_sequence: Name = Name()
    aliases: tuple[Alias, ...] = ()


class RetainedNoLonger(msgspec.Struct, frozen=True, rename="camel"):
    """A run that a rule of the server lets go, or its files alone. Launchd protocol."""

    entity_project: str
    name: str
    ended_at: datetime
    bytes: int
    reason: str
    files_only: bool


class Retention(msgspec.Struct, frozen=True):
    """What the rules of the server let go: at most 1,000 runs, how many they are, and their bytes. Launchd protocol."""

    runs: tuple[RetainedNoLonger, ...]
    count: int
    bytes: int


class CollectedGarbage(msgspec.Struct, frozen=True, rename="camel"):
    """The result of a collection of garbage: what it removed, and the bytes that are left. Launchd protocol."""

    removed_files: int = 0
    removed_bytes: int = 0
    used_bytes: int = 0


class OutputPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of a part of a job's output, which begins at the position `start` of `attempt`.

    `size` is how long the output was when its agent was last heard, `is_fresh`: just now. `is_complete`: the output has
    ended, and its last part is kept; `has_ended`: the item has. `is_sent`: the item's agent is one that sends output;
    it is on `hostname`, and was last heard `silent_seconds` ago.
    """

    attempt: str
    start: int
    size: int
    is_complete: bool
    is_fresh: bool
    state: str
    has_ended: bool
    is_sent: bool
    hostname: str | None = None
    silent_seconds: float | None = None


class OutputPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of an output that begin at the position `start` of `attempt`, as an agent sends them.

    `size` is how long the whole was when they were read; `is_last`: the job is over, and nothing follows.
    """

    attempt: str
    start: int
    content: bytes
    size: int
    is_last: bool
