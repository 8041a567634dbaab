"""Pushing items."""

from collections.abc import Callable
from typing import Any

import msgspec
from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server import authors, run_specs
from launchd.server.context import Context, Info
from launchd.server.store import items, queues
from launchd.server.store.records import Queue
from launchd.server.store.states import DEFAULT_PRIORITY
from launchd.server.wakeups import work_topic

mutation = MutationType()
bindables = [mutation]


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

    scheduler = run_specs.is_scheduler(spec)

    def work(connection: Connection) -> tuple[str, str, str]:
        queue = find(connection)
        priority = run_specs.check_priority(
            input.get("priority"),
            by_priority=queue.prioritization_mode == queues.BY_PRIORITY,
            default=DEFAULT_PRIORITY,
        )
        config = queues.find_config(connection, queue.entity_id, queue.resource_config_id)
        authors.check_target(connection, context.viewer, spec)
        author_id, author = authors.author_of(connection, context.viewer, spec)
        text = msgspec.json.encode(run_specs.normalise(spec, config, values) | {"author": author}).decode()
        pushed = items.push(connection, queue, text, author_id, priority=priority, is_scheduler=scheduler)
        return queue.id, pushed, text

    queue_id, item_id, text = await context.write_guarded(work)
    context.services.wakeups.wake_one([work_topic(queue_id, scheduler=scheduler)])
    return {"run_queue_item_id": item_id, "run_spec": text}
