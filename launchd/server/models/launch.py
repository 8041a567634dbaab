"""Records of queues, their items and launch agents."""

from enum import StrEnum
from typing import Any

import msgspec

from ipc.gpus import GpuSummary
from launchd.server.models.base import Record

SPEC_KEY = "_wandb_api_key"
"""W&B's key in a run spec for the API key that the job is to have."""


class ResourceConfig(Record, frozen=True, kw_only=True):
    """What a queue adds to the `resource_args` of its items."""

    id: int
    resource: str
    config: dict[str, Any]
    """`{"resource_args": {<resource>: {...}}}`"""
    template_variables: dict[str, Any]
    """`{name: {"schema": {...}}}`"""


class Queue(Record, frozen=True, kw_only=True):
    """A run queue."""

    id: str
    project_id: int
    project_name: str
    entity_id: int
    entity_name: str
    name: str
    created_by: str
    access: str
    prioritization_mode: str
    resource_config_id: int | None
    external_links: msgspec.Raw | None
    jobs_may_push: bool
    """Whether jobs may push to it with their own keys."""
    paused_at: float | None
    """Since when it gives out nothing; None: it gives out."""
    paused_by: str | None
    created_at: float


class LaunchAgent(Record, frozen=True, kw_only=True):
    """A registered agent and its queues."""

    id: str
    entity_name: str
    name: str
    hostname: str
    status: str
    stop_polling: bool
    stop_polling_by: str | None
    """Who asked it to leave; None: it was not asked, or it is not known."""
    owner_id: int | None
    """Whose key registered it; None: not known."""
    config: str | None
    version: str | None
    created_at: float
    heartbeat_at: float
    next_queue: int
    incarnation: str | None
    """The process that is this agent now; None where the agent does not say."""
    incarnation_since: float | None
    machine_id: str | None
    silent_seconds: float
    """Since its last heartbeat, by the store's clock."""
    gpus: GpuSummary | None
    """Its GPUs as it last told them; None where it does not say: it is given any item."""
    gpus_version: int
    queue_ids: tuple[str, ...]
    queue_names: tuple[str, ...]


class Item(Record, frozen=True, kw_only=True):
    """A run queue item, with everything that agents reported of it."""

    number: int
    id: str
    queue_id: str
    queue_name: str
    entity_name: str
    state: str
    priority: int
    author_id: int | None
    author: str | None
    submitter_id: int | None
    """Who pushed it; None: not known."""
    is_scheduler: bool
    run_spec: msgspec.Raw
    demand: str
    """The GPUs that it asks for; see `store.launch.demands`."""
    passed_seconds: float | None
    """Since when later items have been given GPUs that it waits for; None: none has."""
    created_at: float
    agent_id: str | None
    lease_number: int
    """Of its last lease; 0: it was never leased."""
    leased_at: float | None
    run_name: str | None
    status: str | None
    phase: str | None
    message: str | None
    stage: str | None
    exit_code: int | None
    file_paths: str | None
    started_at: float | None
    finished_at: float | None
    stop_requested: bool
    stop_reason: str | None


class ItemWarning(Record, frozen=True, kw_only=True):
    """One warning about an item."""

    message: str
    stage: str
    created_at: float


class LeasedItem(Record, frozen=True, kw_only=True):
    """An item as it is leased to an agent."""

    number: int
    item_id: str
    has_submitter: bool
    """Whether it is known who pushed it, so that its job can have a key."""
    queue_name: str
    run_spec: msgspec.Raw
    lease: int
    waited_seconds: float | None = None
    """From its push; None where it is leased again by the same claim."""


class AgentGpus(Record, frozen=True, kw_only=True):
    """An agent's GPUs as it tells them; a higher `version` is newer, within one process of the agent."""

    version: int
    summary: GpuSummary


class ItemReason(Record, frozen=True, kw_only=True):
    """Why an item waits, was refused or failed: a word for programs, a sentence for people."""

    code: str
    sentence: str


class StopRequest(Record, frozen=True, kw_only=True):
    """An item that its agent is asked to stop."""

    item_id: str
    reason: str


class ItemReport(Record, frozen=True, kw_only=True):
    """An agent's report about an item; see `reportRunQueueItems`."""

    item_id: str
    sequence: int
    status: str
    lease: int = 0
    """0: the agent does not know it; the agent's id counts instead."""
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    occurred_at: float | None = None


class ItemAck(Record, frozen=True, kw_only=True):
    """An agent's acknowledgement of an item."""

    item_id: str
    run_name: str
    lease: int = 0


class HeldItem(Record, frozen=True, kw_only=True):
    """An item that an agent says it holds."""

    item_id: str
    acknowledged: bool
    lease: int = 0
    run_name: str | None = None


class HeldByServer(Record, frozen=True, kw_only=True):
    """An item that an agent has acknowledged and does not say that it holds."""

    item_id: str
    lease: int
    queue_name: str
    run_name: str | None


class ItemAnswer(StrEnum):
    """The answer about one item; see the schema."""

    TAKEN = "TAKEN"
    STALE = "STALE"
    OVER = "OVER"
    LEASE_ENDED = "LEASE_ENDED"
    UNKNOWN = "UNKNOWN"
    REFUSED = "REFUSED"


class ItemResult(Record, frozen=True, kw_only=True):
    """What became of an acknowledgement, of a report, or of an item that an agent says it holds."""

    item_id: str
    answer: ItemAnswer
    message: str | None = None


class AgentIdentity(Record, frozen=True, kw_only=True):
    """The process that says it is a launch agent. None: it does not say."""

    incarnation: str | None = None
    previous: str | None = None
    """The incarnation that its state directory had before."""
    machine_id: str | None = None
