"""Agents that live and come back: the heartbeat that waits for stop requests, and resuming after a restart.

Both compare what the server holds as the agent's with what the agent says it holds; see `store.launch.reconciliation`.
"""

from collections.abc import Sequence
from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.http.disconnect import DisconnectWatch
from launchd.server.models import AgentIdentity, HeldByServer, HeldItem, StopRequest
from launchd.server.notifier import work_topics
from launchd.server.resolvers.long_poll import wait_for
from launchd.server.store.launch import agents, items, leases, output_wishes, reconciliation, restored
from launchd.server.store.launch.agent_texts import storable
from launchd.server.store.launch.reconciliation import Differences

mutation = MutationType()
held_by_server = ObjectType("HeldByServer")
bindables = [mutation, held_by_server]

_LONGEST_ID, _LONGEST_RUN_NAME = 200, 1000


@held_by_server.field("runQueueItemId")
def resolve_item_id(found: HeldByServer, info: Info) -> str:
    return found.item_id


@mutation.field("watchLaunchAgent")
async def watch(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    seen = frozenset(input["seen_stops"])
    sent: list[str] | None = input.get("seen_outputs")
    differences = await context.write_guarded(_heartbeat, context, input)
    tell = _is_to_be_told(context, agent_id, differences)

    def pending_stops(connection: Connection) -> dict[str, Any]:
        agent = agents.require_agent(connection, context.viewer, agent_id)
        stops = [
            StopRequest(item_id=item_id, reason=reason)
            for item_id, reason in items.stops_for(connection, context.viewer, agent_id)
            if item_id not in seen
        ]
        outputs = [] if sent is None else output_wishes.wanted_of(connection, agent_id, sent)
        return {"stop_polling": agent.stop_polling, "stops": stops, "outputs": outputs}

    async def poll(_: DisconnectWatch) -> dict[str, Any]:
        return await context.read(pending_stops)

    answer = await wait_for(
        context, [agent_id], input["wait_seconds"], poll, lambda answer: tell or any(answer.values())
    )
    return answer | {
        "unknown_to_agent": differences.unknown_to_agent,
        "must_resume": differences.must_resume,
    }


def _heartbeat(connection: Connection, context: Context, input: dict[str, Any]) -> Differences:
    """Record the heartbeat. The agent's items are compared as of now: while it waits, it acknowledges others."""
    agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
    agents.check_incarnation(agent, input.get("incarnation"))
    agents.record_heartbeat(connection, agent.id, input["agent_status"])
    held = _held(input.get("held"))
    if held is None:
        return Differences([], must_resume=False)
    timeout = context.app.settings.agent_timeout_seconds
    found = reconciliation.differences(connection, context.viewer, agent, held, timeout)
    if found.is_restored:
        restored.begin_pause(connection, agent.id, context.app.settings.restore_pause_seconds)
    if not found.must_resume:
        restored.is_back(connection, agent.id)
    return found


def _is_to_be_told(context: Context, agent_id: str, found: Differences) -> bool:
    """Whether the agent is to be answered at once because of the differences."""
    told = context.app.repetitions
    if not found.unknown_to_agent and not found.must_resume:
        told.forget(agent_id)
        return False
    unknown = frozenset((one.item_id, one.lease) for one in found.unknown_to_agent)
    return told.is_due(agent_id, (unknown, found.must_resume))


@mutation.field("resumeLaunchAgent")
async def resume(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    answer, returned = await context.write(_resume, context, input)
    context.app.notifier.wake_all(work_topics(queue_id for _, queue_id in returned))
    return answer | {"success": True, "returned": [item_id for item_id, _ in returned]}


def _resume(
    connection: Connection, context: Context, input: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    settings, viewer = context.app.settings, context.viewer
    identity = AgentIdentity(
        incarnation=input.get("incarnation"),
        previous=input.get("previous_incarnation"),
        machine_id=input.get("machine_id"),
    )
    agent = agents.require_agent(connection, viewer, input["launch_agent_id"])
    agents.check_successor(agent, identity, settings.agent_timeout_seconds)
    held = _held(input.get("held"))
    shown = max((one.lease for one in held or ()), default=0)
    resumption = reconciliation.Resumption(
        viewer=viewer,
        agent_id=agent.id,
        identity=identity,
        timeout_seconds=settings.agent_timeout_seconds,
    )
    restored.note_numbers(connection, agent.id, shown, settings.restore_pause_seconds)
    agents.resume(connection, agent.id, identity, input.get("hostname"), input.get("version"))
    reconciliation.take_over(connection, resumption, input.get("previous_agent_ids") or ())
    results = reconciliation.settle(connection, resumption, held or ())
    restored.is_back(connection, agent.id)
    known = [one.item_id for one in held or ()] + (input.get("known_item_ids") or [])
    returned = leases.return_unknown(connection, viewer, agent.id, known)
    unknown = [] if held is None else reconciliation.unknown_to(connection, viewer, agent.id, held)
    return {"results": results, "unknown_to_agent": unknown}, returned


def _held(given: Sequence[dict[str, Any]] | None) -> list[HeldItem] | None:
    """The items that an agent says it holds; None: it does not say."""
    if given is None:
        return None
    return [
        HeldItem(
            item_id=storable(one["run_queue_item_id"], _LONGEST_ID) or "",
            lease=one["lease"],
            acknowledged=one["acknowledged"],
            run_name=storable(one.get("run_name"), _LONGEST_RUN_NAME),
        )
        for one in given
    ]
