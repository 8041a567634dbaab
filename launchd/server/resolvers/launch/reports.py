"""Acknowledgements and reports of items, which agents send in batches."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.models import ItemReport
from launchd.server.store.launch import agents, items, reports
from launchd.server.store.launch.states import STATUSES

mutation = MutationType()
bindables = [mutation]

T = TypeVar("T")

_MOST_AT_ONCE = 1000
"""Each costs some statements in one shared transaction."""


@mutation.field("ackRunQueueItems")
async def acknowledge(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]

    def one(connection: Connection, ack: dict[str, Any]) -> tuple[str, bool]:
        item_id = ack["run_queue_item_id"]
        found = items.find_item(connection, context.viewer, item_id)
        return item_id, items.acknowledge_for(connection, agent_id, found, ack["run_name"])

    return await _each(context, agent_id, input["acks"], one)


@mutation.field("reportRunQueueItems")
async def report(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    agent_id: str = input["launch_agent_id"]

    def one(connection: Connection, given: ItemReport) -> tuple[str, bool]:
        return given.item_id, reports.record(connection, agent_id, given)

    return await _each(info.context, agent_id, [_parse(given) for given in input["reports"]], one)


def _parse(given: dict[str, Any]) -> ItemReport:
    if given["status"] not in STATUSES:
        raise Refused(f"{given['status'][:40]!r} is no status; known are {', '.join(sorted(STATUSES))}.")
    return msgspec.convert({**given, "item_id": given["run_queue_item_id"]}, ItemReport)


async def _each(
    context: Context, agent_id: str, inputs: Sequence[T], one: Callable[[Connection, T], tuple[str, bool]]
) -> dict[str, Any]:
    """Process all inputs in one transaction, each with its own result."""
    if len(inputs) > _MOST_AT_ONCE:
        raise Refused(f"At most {_MOST_AT_ONCE} items can be reported at once.")

    def work(connection: Connection) -> list[tuple[str, bool]]:
        agents.require_agent(connection, context.viewer, agent_id)
        return [one(connection, given) for given in inputs]

    results = await context.write_guarded(work)
    return {"results": [{"run_queue_item_id": item_id, "success": success} for item_id, success in results]}
