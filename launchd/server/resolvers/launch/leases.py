"""Leasing items to agents: W&B's pop, the waiting claim, returning items, and waiting for stop requests."""

import time
from collections.abc import Callable
from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.http.disconnect import DisconnectWatch
from launchd.server.models import LeasedItem, StopRequest
from launchd.server.notifier import work_topic, work_topics
from launchd.server.resolvers.long_poll import wait_for
from launchd.server.store.launch import agents, items, leases, queues

mutation = MutationType()
leased_item = ObjectType("LeasedRunQueueItem")
bindables = [mutation, leased_item]

_MOST_ITEMS = 1000
_NOTHING: dict[str, Any] = {"items": [], "stop_polling": False}


@leased_item.field("runQueueItemId")
def resolve_item_id(item: LeasedItem, info: Info) -> str:
    return item.item_id


def _lease(context: Context, agent_id: str | None, claim_id: str | None = None) -> leases.Lease:
    now = time.time()
    ends_at = now + context.app.settings.lease_seconds
    return leases.Lease(agent_id=agent_id, claim_id=claim_id, now=now, ends_at=ends_at)


@mutation.field("popFromRunQueue")
async def pop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any] | None:
    context = info.context
    agent_id: str | None = input.get("launch_agent_id")
    lease = _lease(context, agent_id)

    def work(connection: Connection) -> tuple[set[str], LeasedItem | None]:
        queue = queues.require_queue(
            connection, context.viewer, input["entity_name"], input["project_name"], input["queue_name"]
        )
        returned = leases.return_expired(connection, lease.now)
        stopping = agent_id and agents.require_agent(connection, context.viewer, agent_id).stop_polling
        return returned, None if stopping else leases.pop(connection, queue, lease)

    returned, item = await context.write_guarded(work)
    context.app.notifier.wake_all(work_topics(returned))
    if item is None:
        return None
    context.app.lease_timer.leased_until(lease.ends_at)
    return {"run_queue_item_id": item.item_id, "run_spec": item.run_spec}


@mutation.field("claimRunQueueItems")
async def claim(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    agent = await context.read(agents.require_agent, context.viewer, agent_id)

    async def poll(connection_watch: DisconnectWatch) -> dict[str, Any]:
        if await connection_watch.has_gone():
            return _NOTHING
        lease = _lease(context, agent_id, input["claim_id"])
        returned, answer = await context.write_guarded(_claim(context, input, lease, lambda: connection_watch.gone))
        context.app.notifier.wake_all(work_topics(returned))
        if answer["items"]:
            context.app.lease_timer.leased_until(lease.ends_at)
            if await connection_watch.has_gone():
                await _return_undelivered(context, agent_id, answer["items"])
        return answer

    kinds = [kind for kind, most in ((False, input["max_items"]), (True, input["max_schedulers"])) if most > 0]
    work = [work_topic(queue_id, scheduler=kind) for queue_id in agent.queue_ids for kind in kinds]
    return await wait_for(context, [agent_id, *work], input["wait_seconds"], poll, lambda answer: any(answer.values()))


def _claim(
    context: Context, input: dict[str, Any], lease: leases.Lease, gone: Callable[[], bool]
) -> Callable[[Connection], tuple[set[str], dict[str, Any]]]:
    wanted = leases.Capacity(
        items=min(input["max_items"], _MOST_ITEMS), schedulers=min(input["max_schedulers"], _MOST_ITEMS)
    )

    def work(connection: Connection) -> tuple[set[str], dict[str, Any]]:
        # Checked as late as possible: no item must be leased to a client that has disconnected.
        if gone():
            return set(), _NOTHING
        agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
        if agent.stop_polling:
            return set(), {"items": [], "stop_polling": True}
        returned = leases.return_expired(connection, lease.now)
        return returned, {"items": leases.claim(connection, agent, wanted, lease), "stop_polling": False}

    return work


async def _return_undelivered(context: Context, agent_id: str, leased: list[LeasedItem]) -> None:
    """Return items to their queues, because the client disconnected while the lease was being written.

    If the client reconnects at this moment, its acknowledgement fails, which costs one claim and does no harm.
    """
    item_ids = [item.item_id for item in leased]
    await _return_items(context, lambda connection: leases.return_items(connection, agent_id, item_ids))


@mutation.field("watchLaunchAgent")
async def watch(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    seen = frozenset(input["seen_stops"])

    def heartbeat(connection: Connection) -> None:
        agents.require_agent(connection, context.viewer, agent_id)
        agents.record_heartbeat(connection, agent_id, input["agent_status"])

    def pending_stops(connection: Connection) -> dict[str, Any]:
        agent = agents.require_agent(connection, context.viewer, agent_id)
        stops = [
            StopRequest(item_id=item_id, reason=reason)
            for item_id, reason in items.stops_for(connection, agent_id)
            if item_id not in seen
        ]
        return {"stop_polling": agent.stop_polling, "stops": stops}

    async def poll(_: DisconnectWatch) -> dict[str, Any]:
        return await context.read(pending_stops)

    await context.write_guarded(heartbeat)
    return await wait_for(context, [agent_id], input["wait_seconds"], poll, lambda answer: any(answer.values()))


@mutation.field("resumeLaunchAgent")
async def resume(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]

    def work(connection: Connection) -> list[tuple[str, str]]:
        agents.require_agent(connection, context.viewer, agent_id)
        agents.record_heartbeat(connection, agent_id)
        return leases.return_unknown(connection, agent_id, input["known_item_ids"])

    return {"success": True, "returned": await _return_items(context, work)}


@mutation.field("returnRunQueueItems")
async def return_items(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> list[tuple[str, str]]:
        agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
        return leases.return_items(connection, agent.id, input["run_queue_item_ids"])

    return {"returned": await _return_items(context, work)}


async def _return_items(context: Context, work: Callable[[Connection], list[tuple[str, str]]]) -> list[str]:
    returned = await context.write_guarded(work)
    context.app.notifier.wake_all(work_topics(queue_id for _, queue_id in returned))
    return [item_id for item_id, _ in returned]
