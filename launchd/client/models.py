"""What a queue server tells us and what we report to it, as frozen values.

Owns the shapes and their names on the wire; `queue_server.py` re-exports the public ones. No behaviour, no I/O.
"Native" fields exist only on our own server: against a W&B server they keep their defaults.
"""

from datetime import datetime
from typing import Any

import msgspec


class Capabilities(msgspec.Struct, frozen=True):
    """What a server can do, found by introspection. `native`: it is our own server, with waiting claims and reports."""

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


class Viewer(msgspec.Struct, frozen=True):
    """Whose API key it is. `entity` is the default entity; `teams` are the other entities that the key may act for."""

    username: str | None = None
    entity: str | None = None
    teams: tuple[str, ...] = ()


class Queue(msgspec.Struct, frozen=True):
    """A queue, as an agent needs it."""

    id: str
    name: str
    access: str | None = "PROJECT"


class QueueDetail(msgspec.Struct, frozen=True, rename="camel"):
    """A queue, as a person wants to see it. The counts, entity and creation time are native."""

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


class QueueSettings(msgspec.Struct, frozen=True):
    """A queue, as whoever made it set it up.

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
    },
):
    """A registered agent. `status` is W&B's word: POLLING, RUNNING or KILLED. What follows `queue_ids` is native."""

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


class ClaimedItem(
    msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "queue": "queueName", "run_spec": "runSpec"}
):
    """A run queue item that is leased to us, with its run spec as the server resolved it."""

    item_id: str
    queue: str
    run_spec: dict[str, Any]


class Claim(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a claim. `stop_polling`: somebody asked this agent to end."""

    items: tuple[ClaimedItem, ...] = ()
    stop_polling: bool = False


class StopRequest(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId"}):
    """Somebody wants this item stopped."""

    item_id: str
    reason: str | None = None


class AgentCommands(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to a watch."""

    stop_polling: bool = False
    stops: tuple[StopRequest, ...] = ()


class Ack(msgspec.Struct, frozen=True, rename={"item_id": "runQueueItemId", "run_id": "runName"}):
    """We take this item; it becomes the run `run_id` (W&B calls the run id a name)."""

    item_id: str
    run_id: str


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """One change of an item in our care. `sequence` grows per item; the server ignores what it has seen.

    `occurred_at` is in seconds since the epoch, by this host's clock.
    """

    item_id: str = msgspec.field(name="runQueueItemId")
    sequence: int
    status: str
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    occurred_at: float | None = None


class RunDetail(msgspec.Struct, frozen=True):
    """A run. `name` is the run id; `config` and `summary` are its values, without what W&B's client notes there."""

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
    """What a run ran: a repository at a commit, and its command there."""

    remote: str
    commit: str | None
    command: tuple[str, ...]


class ItemWarning(msgspec.Struct, frozen=True, rename="camel"):
    """A warning about an item; `stage` says who gave it."""

    message: str
    stage: str | None = None
    created_at: datetime | None = None


class Item(msgspec.Struct, frozen=True, rename="camel"):
    """A run queue item. A W&B server tells `id`, `state` and `associated_run_id` only; the others are native."""

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
