"""Records of queues, their items and launch agents."""

from typing import Any

import msgspec

from launchd.server.models.base import Record


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
    created_at: float


class LaunchAgent(Record, frozen=True, kw_only=True):
    """A registered agent and its queues."""

    id: str
    entity_name: str
    name: str
    hostname: str
    status: str
    stop_polling: bool
    config: str | None
    version: str | None
    created_at: float
    heartbeat_at: float
    next_queue: int
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
    run_spec: msgspec.Raw
    created_at: float
    agent_id: str | None
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
    """An item as an agent gets it."""

    item_id: str
    queue_name: str
    run_spec: msgspec.Raw


class StopRequest(Record, frozen=True, kw_only=True):
    """An item that its agent is asked to stop."""

    item_id: str
    reason: str


class ItemReport(Record, frozen=True, kw_only=True):
    """An agent's report about an item; see `reportRunQueueItems`."""

    item_id: str
    sequence: int
    status: str
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    occurred_at: float | None = None
