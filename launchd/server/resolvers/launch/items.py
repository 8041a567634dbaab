"""Run queue items: reading, stopping, and W&B's operations on one of them (acknowledge, fail, warn, delete)."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from ariadne import MutationType, ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.launch.item_reasons import Terms, fits_no_agent, reasons
from launchd.server.launch.stop_sentences import stop_sentence
from launchd.server.launch.waiting_items import move, set_priority
from launchd.server.models import Item, ItemReason, ItemWarning, LaunchAgent, StopRequest
from launchd.server.notifier import Work, work_topics
from launchd.server.store.launch import acknowledgements, agents, items, lookup, queues
from launchd.server.store.launch.demands import NONE, decode
from launchd.server.store.launch.states import HELD, STATUS_OF_STATE, STOPPED
from launchd.server.store.savepoints import savepoint

query = QueryType()
mutation = MutationType()
item = ObjectType("RunQueueItem")
stop_request_type = ObjectType("StopRequest")
bindables = [query, mutation, item, stop_request_type]


@query.field("launchRunQueueItem")
async def resolve_item(_: object, info: Info, id: str) -> Item | None:
    context = info.context
    return await context.read(items.find_item, context.viewer, id)


@query.field("findRunQueueItems")
async def resolve_items(_: object, info: Info, word: str) -> Sequence[Item]:
    context = info.context
    return await context.read(lookup.find, context.viewer, word)


@item.field("associatedRunId")
def resolve_run_name(found: Item, info: Info) -> str | None:
    return found.run_name


@item.field("launchAgentId")
def resolve_agent_id(found: Item, info: Info) -> str | None:
    return found.agent_id


@item.field("agent")
async def resolve_agent(found: Item, info: Info) -> LaunchAgent | None:
    context = info.context
    return None if found.agent_id is None else await context.read(agents.find_agent, context.viewer, found.agent_id)


@item.field("status")
def resolve_status(found: Item, info: Info) -> str:
    return found.status or STATUS_OF_STATE[found.state]


@item.field("filePaths")
def resolve_file_paths(found: Item, info: Info) -> list[str]:
    return msgspec.json.decode(found.file_paths, type=list[str]) if found.file_paths else []


@item.field("warnings")
async def resolve_warnings(found: Item, info: Info) -> list[ItemWarning]:
    return await info.context.read(items.warnings_of, found.number)


@item.field("gpus")
def resolve_gpus(found: Item, info: Info) -> str | None:
    return decode(found.demand).words() if found.demand != NONE else None


@item.field("fitsNoAgent")
async def resolve_fits_no_agent(found: Item, info: Info) -> bool:
    if found.demand == NONE:
        return False
    return await info.context.read(fits_no_agent, info.context.viewer, found, _terms(info.context))


@item.field("why")
async def resolve_why(found: Item, info: Info) -> list[ItemReason]:
    return await info.context.read(reasons, info.context.viewer, found, _terms(info.context))


def _terms(context: Context) -> Terms:
    settings = context.app.settings
    return Terms(agent_timeout_seconds=settings.agent_timeout_seconds, backfill_seconds=settings.backfill_seconds)


@stop_request_type.field("runQueueItemId")
def resolve_stopped_item(stop_request: StopRequest, info: Info) -> str:
    return stop_request.item_id


async def _on_item(context: Context, item_id: str, change: Callable[[Connection, Item], bool]) -> dict[str, Any]:
    """Change an item. A missing one gives `success: false`, not an error, because W&B's agent reads `success`."""

    def work(connection: Connection) -> bool:
        found = items.find_item(connection, context.viewer, item_id)
        return found is not None and change(connection, found)

    return {"success": await context.write_guarded(work)}


@mutation.field("ackRunQueueItem")
async def acknowledge(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def change(connection: Connection, found: Item) -> bool:
        try:
            with savepoint(connection):
                return acknowledgements.acknowledge_single(connection, info.context.viewer, found, input["run_name"])
        except Refused as reason:
            acknowledgements.fail_single(connection, info.context.viewer, found, reason)
            return False

    return await _on_item(info.context, input["run_queue_item_id"], change)


@mutation.field("failRunQueueItem")
async def fail(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def change(connection: Connection, found: Item) -> bool:
        return items.fail(
            connection,
            found,
            message=input.get("message"),
            stage=input.get("stage"),
            file_paths=input.get("file_paths"),
        )

    return await _on_item(info.context, input["run_queue_item_id"], change)


@mutation.field("updateRunQueueItemWarning")
async def warn(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def change(connection: Connection, found: Item) -> bool:
        items.warn(
            connection, found, message=input["message"], stage=input["stage"], file_paths=input.get("file_paths")
        )
        return True

    return await _on_item(info.context, input["run_queue_item_id"], change)


@mutation.field("deleteFromRunQueue")
async def delete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> bool:
        queue = queues.require_queue_by_id(connection, context.viewer, input["queue_id"])
        return items.remove(connection, queue.id, input["run_queue_item_id"])

    success = await context.write(work)
    _wake_others(context, input["queue_id"])
    return {"success": success}


def _wake_others(context: Context, queue_id: str) -> None:
    """Have claims look again after an item left its queue: GPUs that were held back for it are free for others."""
    context.app.notifier.wake_all(work_topics([queue_id], [Work.GPUS]))


@mutation.field("stopRunQueueItem")
async def stop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> tuple[Item, str, str]:
        found = items.require_item(connection, context.viewer, input["run_queue_item_id"])
        state = items.stop(connection, found, input.get("reason"))
        timeout = context.app.settings.agent_timeout_seconds
        return found, state, stop_sentence(connection, context.viewer, found, state, timeout)

    found, state, message = await context.write(work)
    if found.agent_id is not None:
        context.app.notifier.wake_all([found.agent_id])
    if state == STOPPED and found.demand != NONE:
        _wake_others(context, found.queue_id)
    return {"success": state in (STOPPED, *HELD), "state": state, "message": message}


@mutation.field("setRunQueueItemPriority")
async def change_priority(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    found = await context.write(set_priority, context.viewer, input["run_queue_item_id"], input["priority"])
    # It may come before an item for which GPUs are held back.
    _wake_others(context, found.queue_id)
    return {"success": True}


@mutation.field("moveRunQueueItem")
async def move_item(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    found = await context.write(move, context.viewer, input["run_queue_item_id"], input["queue_id"])
    _wake_others(context, found.queue_id)
    context.app.notifier.wake_all(work_topics([input["queue_id"]]))
    return {"success": True}
