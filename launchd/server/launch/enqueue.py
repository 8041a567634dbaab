"""Putting an item into a queue: checks the run spec, adds what the queue configures, names the submitter."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from launchd.server.launch import run_specs, submitters
from launchd.server.models import Queue, Viewer
from launchd.server.store.launch import items, queues
from launchd.server.store.launch.states import DEFAULT_PRIORITY


def enqueue(
    connection: Connection,
    viewer: Viewer,
    queue: Queue,
    spec: Mapping[str, Any],
    values: Mapping[str, Any],
    priority: int | None = None,
    key: str | None = None,
) -> tuple[str, str]:
    """Append an item with what the queue adds to its spec. Returns its id and the spec as stored. `key` must be unused.

    Raises:
        Refused: the spec, a template variable or the priority is not valid.
    """
    scheduler = run_specs.is_scheduler(spec)
    rank = run_specs.check_priority(
        priority, by_priority=queue.prioritization_mode == queues.BY_PRIORITY, default=DEFAULT_PRIORITY
    )
    config = queues.find_config(connection, queue.entity_id, queue.resource_config_id)
    if scheduler and config is not None and spec.get("resource") not in (None, config.resource):
        # The scheduler of a sweep runs beside the agent, independently of the queue's resource.
        config, values = None, {}
    submitters.check_target(connection, viewer, spec)
    author_id, author = submitters.author_of(connection, viewer, spec)
    text = msgspec.json.encode(run_specs.normalise(spec, config, values) | {"author": author}).decode()
    return items.push(connection, queue, text, author_id, priority=rank, is_scheduler=scheduler, key=key), text
