"""Queues, as an agent and as users see them."""

from datetime import datetime
from typing import Any

import msgspec


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
