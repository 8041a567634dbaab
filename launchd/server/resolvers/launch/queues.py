"""Run queues: reading, creating, changing, deleting."""

from collections.abc import Mapping
from typing import Any

import msgspec
from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import NotFound
from launchd.server.launch.run_specs import check_config, check_resource
from launchd.server.launch.templates import check_declarations, undeclared
from launchd.server.models import Item, Queue, ResourceConfig, Viewer
from launchd.server.notifier import Work, work_topics
from launchd.server.resolvers.json_args import parse_object
from launchd.server.resolvers.pagination import size_of
from launchd.server.store.accounts import principals
from launchd.server.store.ids import row_number
from launchd.server.store.launch import items, queues

mutation = MutationType()
queue = ObjectType("RunQueue")
bindables = [mutation, queue]

_ITEMS, _MOST_ITEMS = 100, 1000


@queue.field("defaultResourceConfigID")
def resolve_config_id(found: Queue, info: Info) -> int | None:
    return found.resource_config_id


@queue.field("runQueueItems")
async def resolve_items(found: Queue, info: Info, first: int | None = None) -> dict[str, Any]:
    size = size_of(first, _ITEMS, _MOST_ITEMS)
    rows = await info.context.read(items.items_of_queue, found.id, size)
    return {"edges": [{"node": row} for row in rows]}


@queue.field("runQueueItem")
async def resolve_item(found: Queue, info: Info, id: str) -> Item | None:
    return await info.context.read(items.item_of_queue, found.id, id)


async def _config(found: Queue, info: Info) -> ResourceConfig | None:
    return await info.context.read(queues.find_config, found.entity_id, found.resource_config_id)


@queue.field("resourceType")
async def resolve_resource_type(found: Queue, info: Info) -> str | None:
    config = await _config(found, info)
    return config.resource if config else None


@queue.field("resourceConfig")
async def resolve_resource_config(found: Queue, info: Info) -> dict[str, Any] | None:
    config = await _config(found, info)
    return config.config if config else None


@queue.field("pendingCount")
async def resolve_pending_count(found: Queue, info: Info) -> int:
    return await info.context.read(queues.count_waiting, found.id)


@queue.field("claimedCount")
async def resolve_claimed_count(found: Queue, info: Info) -> int:
    return await info.context.read(queues.count_held, found.id)


@mutation.field("createDefaultResourceConfig")
async def create_config(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    config = parse_object(input["config"], "config")
    variables = parse_object(input.get("template_variables"), "templateVariables")
    check_resource(input["resource"])
    check_config(config)
    check_declarations(variables)

    def work(connection: Connection) -> int:
        entity = principals.require_entity(connection, context.viewer, input["entity_name"])
        return queues.create_config(connection, entity, input["resource"], config, variables)

    return {"default_resource_config_id": await context.write(work), "success": True}


@mutation.field("createRunQueue")
async def create_queue(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    queue_id = await context.write(_create, context.viewer, input)
    return {"success": True, "queue_id": queue_id}


def _create(connection: Connection, viewer: Viewer, input: Mapping[str, Any]) -> str:
    entity = principals.require_entity(connection, viewer, input["entity_name"])
    project, _ = principals.ensure_project(connection, entity, input["project_name"])
    options = {
        "access": input["access"],
        "prioritization_mode": input.get("prioritization_mode") or queues.DISABLED,
        "resource_config_id": _config_id(input.get("default_resource_config_id")),
    }
    return queues.create_queue(connection, viewer, project, input["queue_name"], options)


def _config_id(text: str | None) -> int | None:
    if text is None:
        return None
    number = row_number(text)
    if number is None:
        raise NotFound(f"There is no resource configuration {text[:40]!r}.")
    return number


@mutation.field("upsertRunQueue")
async def upsert_queue(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    config = parse_object(input["resource_config"], "resourceConfig")
    variables = parse_object(input.get("template_variables"), "templateVariables")
    check_resource(input["resource_type"])
    check_config(config)
    check_declarations(variables)
    await context.write(_upsert, context.viewer, input, config, variables)
    return {"success": True, "config_schema_validation_errors": undeclared(config, variables)}


def _upsert(
    connection: Connection,
    viewer: Viewer,
    input: Mapping[str, Any],
    config: Mapping[str, Any],
    variables: Mapping[str, Any],
) -> None:
    links = parse_object(input.get("external_links"), "externalLinks")
    entity = principals.require_entity(connection, viewer, input["entity_name"])
    project, _ = principals.ensure_project(connection, entity, input["project_name"])
    options = {
        "resource_config_id": queues.create_config(connection, entity, input["resource_type"], config, variables),
        "prioritization_mode": input.get("prioritization_mode") or queues.DISABLED,
        "external_links": msgspec.json.encode(links).decode() if links else None,
    }
    queues.upsert_queue(connection, viewer, project, input["queue_name"], options)


@mutation.field("setJobsMayPush")
async def set_jobs_may_push(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> None:
        found = queues.require_queue_by_id(connection, context.viewer, input["queue_id"])
        queues.set_jobs_may_push(connection, found.id, allowed=input["jobs_may_push"])

    await context.write(work)
    return {"success": True}


@mutation.field("setRunQueuePaused")
async def set_paused(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> str:
        found = queues.require_queue_by_id(connection, context.viewer, input["queue_id"])
        if input["paused"]:
            queues.pause(connection, context.viewer, found.id)
        else:
            queues.resume(connection, found.id)
        return found.id

    # Of a queue that was paused, the GPUs that were held back for an item of it are free for others.
    context.app.notifier.wake_all(work_topics([await context.write(work)]))
    return {"success": True}


@mutation.field("deleteRunQueues")
async def delete_queues(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> None:
        for queue_id in queues.existing(connection, input["queue_ids"]):
            queues.require_queue_by_id(connection, context.viewer, queue_id)
            queues.delete_queue(connection, queue_id)

    await context.write(work)
    # GPUs that were held back for an item of theirs are free for others.
    context.app.notifier.wake_all(work_topics(input["queue_ids"], [Work.GPUS]))
    return {"success": True}
