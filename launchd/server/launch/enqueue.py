"""Putting an item into a queue: checks the run spec, adds what the queue configures, names the submitter."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from launchd.server.errors import NotFound
from launchd.server.launch import run_specs, submitters
from launchd.server.launch.gpu_demands import demand_of
from launchd.server.launch.submitters import Pusher
from launchd.server.models import Queue, Viewer
from launchd.server.store.launch import items, queues
from launchd.server.store.launch.states import DEFAULT_PRIORITY


def enqueue(
    connection: Connection,
    pusher: Pusher,
    queue: Queue,
    spec: Mapping[str, Any],
    values: Mapping[str, Any],
    priority: int | None = None,
    key: str | None = None,
) -> tuple[str, str]:
    """Append an item with what the queue adds to its spec. Returns its id and the spec as stored. `key` must be unused.

    Raises:
        Refused: the spec, a template variable or the priority is not valid, or has an API key that is not the pusher's;
            what it asks for in GPUs is not to be read.
    """
    spec = submitters.without_key(connection, pusher, queue, spec)
    scheduler = run_specs.is_scheduler(spec)
    rank = run_specs.check_priority(
        priority, by_priority=queue.prioritization_mode == queues.BY_PRIORITY, default=DEFAULT_PRIORITY
    )
    config = queues.find_config(connection, queue.entity_id, queue.resource_config_id)
    if scheduler and config is not None and spec.get("resource") not in (None, config.resource):
        # The scheduler of a sweep runs beside the agent, independently of the queue's resource.
        config, values = None, {}
    viewer = pusher.viewer
    submitters.check_target(connection, viewer, queue, spec)
    author_id, author = submitters.author_of(connection, viewer, spec)
    whole = run_specs.normalise(spec, config, values) | {"author": author}
    text = msgspec.json.encode(whole).decode()
    item_id = items.push(
        connection,
        queue,
        text,
        author_id,
        viewer.user_id,
        priority=rank,
        is_scheduler=scheduler,
        demand=demand_of(whole),
        key=key,
    )
    return item_id, text


def put_back(connection: Connection, viewer: Viewer, queue: Queue, run_name: object) -> tuple[str, str]:
    """Append an item for a run that was preempted, in the name of who pushed it: what an agent's key may do.

    Nothing but the run's name is taken from the agent. Returns the id of the item, the same for a repetition, and the
    spec as stored.

    Raises:
        NotFound: no item of this queue has become such a run.
    """
    before = items.item_to_put_back(connection, viewer, queue.id, run_name) if isinstance(run_name, str) else None
    if before is None:
        raise NotFound("This API key is an agent's: into a queue it puts back only runs that were preempted from it.")
    key = f"after-{before.id}"
    pushed = items.pushed_before(connection, queue, key)
    if pushed is not None:
        return pushed
    spec = msgspec.json.decode(before.run_spec, type=dict[str, Any])
    spec.pop("sweep_id", None)
    text = msgspec.json.encode(
        spec | {"run_id": run_name, "_resume_count": int(spec.get("_resume_count") or 0) + 1}
    ).decode()
    item_id = items.push(
        connection,
        queue,
        text,
        before.author_id,
        before.submitter_id,
        priority=before.priority,
        is_scheduler=before.is_scheduler,
        demand=before.demand,
        key=key,
    )
    return item_id, text
