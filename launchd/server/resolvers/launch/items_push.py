"""Pushing items."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.launch import run_specs, submitters
from launchd.server.models import Queue, Viewer
from launchd.server.notifier import work_topic
from launchd.server.store.launch import items, queues
from launchd.server.store.launch.states import DEFAULT_PRIORITY

mutation = MutationType()
bindables = [mutation]

_LONGEST_KEY = 128


@mutation.field("pushToRunQueueByName")
async def push_by_name(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def find(connection: Connection) -> Queue:
        return queues.require_queue(
            connection, context.viewer, input["entity_name"], input["project_name"], input["queue_name"]
        )

    return await _push(context, find, input)


@mutation.field("pushToRunQueue")
async def push_by_id(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def find(connection: Connection) -> Queue:
        return queues.require_queue_by_id(connection, context.viewer, input["queue_id"])

    return await _push(context, find, input)


async def _push(context: Context, find: Callable[[Connection], Queue], input: dict[str, Any]) -> dict[str, Any]:
    spec = run_specs.parse_object(input["run_spec"], "runSpec")
    values = run_specs.parse_object(input.get("template_variable_values"), "templateVariableValues")
    key = _key(input.get("idempotency_key"))

    def work(connection: Connection) -> tuple[str, str, str]:
        queue = find(connection)
        before = items.pushed_before(connection, queue, key) if key else None
        pushed = before or enqueue(connection, context.viewer, queue, spec, values, input.get("priority"), key)
        return queue.id, *pushed

    queue_id, item_id, text = await context.write_guarded(work)
    # Also for one that is there already: its first push may have died before it could wake anybody.
    context.app.notifier.wake_one([work_topic(queue_id, scheduler=run_specs.is_scheduler(spec))])
    return {"run_queue_item_id": item_id, "run_spec": text}


def _key(given: str | None) -> str | None:
    if given is not None and not 0 < len(given) <= _LONGEST_KEY:
        raise Refused(f"An idempotencyKey has 1 to {_LONGEST_KEY} characters, this one has {len(given)}.")
    return given


def enqueue(
    connection: Connection,
    viewer: Viewer,
    queue: Queue,
    spec: Mapping[str, Any],
    values: Mapping[str, Any],
    priority: int | None = None,
    key: str | None = None,
) -> tuple[str, str]:
    """Append an item with what the queue adds to its spec. Returns its id and the spec. `key` is one that no other has.

    Raises:
        Refused: something in the spec, a template variable or the priority cannot be.
    """
    scheduler = run_specs.is_scheduler(spec)
    rank = run_specs.check_priority(
        priority, by_priority=queue.prioritization_mode == queues.BY_PRIORITY, default=DEFAULT_PRIORITY
    )
    config = queues.find_config(connection, queue.entity_id, queue.resource_config_id)
    if scheduler and config is not None and spec.get("resource") not in (None, config.resource):
        # The scheduler of a sweep runs beside the agent, whatever the queue's jobs run on.
        config, values = None, {}
    submitters.check_target(connection, viewer, spec)
    author_id, author = submitters.author_of(connection, viewer, spec)
    text = msgspec.json.encode(run_specs.normalise(spec, config, values) | {"author": author}).decode()
    return items.push(connection, queue, text, author_id, priority=rank, is_scheduler=scheduler, key=key), text
