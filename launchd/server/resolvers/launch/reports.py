"""Acknowledgements and reports of items, which agents send in batches. Each item has an answer of its own."""

from collections.abc import Sequence
from typing import Any

import msgspec
from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.models import ItemAck, ItemAnswer, ItemReport, ItemResult
from launchd.server.store.launch import acknowledgements, agents, reports, restored
from launchd.server.store.launch.agent_texts import storable
from launchd.server.store.savepoints import each

mutation = MutationType()
result = ObjectType("RunQueueItemResult")
bindables = [mutation, result]

_MOST_AT_ONCE = 1000
"""Each costs some statements in one shared transaction."""

_LONGEST_ID = 200
_DONE = (ItemAnswer.TAKEN, ItemAnswer.STALE)


@result.field("runQueueItemId")
def resolve_item_id(found: ItemResult, info: Info) -> str:
    return found.item_id


@result.field("success")
def resolve_success(found: ItemResult, info: Info) -> bool:
    return found.answer in _DONE


@mutation.field("ackRunQueueItems")
async def acknowledge(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    acks = [msgspec.convert(_plain(given), ItemAck) for given in input["acks"]]

    def work(connection: Connection) -> list[ItemResult]:
        _begin(connection, context, agent_id, [ack.lease for ack in acks])

        def one(connection: Connection, ack: ItemAck) -> ItemResult:
            return acknowledgements.acknowledge(connection, context.viewer, agent_id, ack)

        def refused(connection: Connection, ack: ItemAck, reason: Refused) -> ItemResult:
            return acknowledgements.fail_refused(connection, context.viewer, agent_id, ack, reason)

        return each(connection, acks, one, refused)

    return {"results": await context.write_guarded(work)}


@mutation.field("reportRunQueueItems")
async def report(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    reported = [msgspec.convert(_plain(given), ItemReport) for given in input["reports"]]

    def work(connection: Connection) -> list[ItemResult]:
        _begin(connection, context, agent_id, [report.lease for report in reported])

        def one(connection: Connection, report: ItemReport) -> ItemResult:
            return reports.record(connection, context.viewer, agent_id, report)

        def refused(connection: Connection, report: ItemReport, reason: Refused) -> ItemResult:
            return reports.refused(report, str(reason))

        return each(connection, reported, one, refused)

    return {"results": await context.write_guarded(work)}


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """An item's input by the names of its record, without what was not given."""
    named = {**given, "item_id": storable(given["run_queue_item_id"], _LONGEST_ID)}
    return {name: value for name, value in named.items() if value is not None}


def _begin(connection: Connection, context: Context, agent_id: str, leases: Sequence[int]) -> None:
    """Check the agent, and take note of what its leases say about this database.

    Raises:
        Refused: more items than are taken at once.
        UnknownAgent: no such agent that the viewer may use.
    """
    if len(leases) > _MOST_AT_ONCE:
        raise Refused(f"At most {_MOST_AT_ONCE} items can be reported at once.")
    agents.require_agent(connection, context.viewer, agent_id)
    pause_seconds = context.app.settings.restore_pause_seconds
    restored.note_numbers(connection, agent_id, max(leases, default=0), pause_seconds)
