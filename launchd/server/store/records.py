"""Rows as the rest of the server sees them: frozen values. JSON that is only passed on stays encoded (`msgspec.Raw`)."""

from typing import Any

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all rows."""


class Viewer(Record, frozen=True, kw_only=True):
    """Who sent a request."""

    user_id: int
    name: str
    email: str
    admin: bool
    entity: str
    """Default entity."""


class EntityRecord(Record, frozen=True, kw_only=True):
    id: int
    name: str
    is_team: bool


class ProjectRecord(Record, frozen=True, kw_only=True):
    id: int
    entity_id: int
    entity_name: str
    name: str
    description: str | None
    access: str | None
    created_at: float


class ResourceConfig(Record, frozen=True, kw_only=True):
    """What a queue adds to the `resource_args` of its items."""

    id: int
    resource: str
    config: dict[str, Any]
    """`{"resource_args": {<resource>: {...}}}`"""
    template_variables: dict[str, Any]
    """`{name: {"schema": {...}}}`"""


class Queue(Record, frozen=True, kw_only=True):
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
    number: int
    id: str
    queue_id: str
    queue_name: str
    entity_name: str
    state: str
    priority: int
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
    message: str
    stage: str
    created_at: float


class LeasedItem(Record, frozen=True, kw_only=True):
    """An item as it is handed to an agent."""

    item_id: str
    queue_name: str
    run_spec: msgspec.Raw


class StopOrder(Record, frozen=True, kw_only=True):
    item_id: str
    reason: str


class Report(Record, frozen=True, kw_only=True):
    """What an agent says about an item; see `reportRunQueueItems`."""

    item_id: str
    sequence: int
    status: str
    phase: str | None = None
    message: str | None = None
    stage: str | None = None
    exit_code: int | None = None
    occurred_at: float | None = None


class Run(Record, frozen=True, kw_only=True):
    id: int
    project_id: int
    project_name: str
    entity_name: str
    name: str
    display_name: str | None
    state: str
    stopped: bool
    created_at: float
