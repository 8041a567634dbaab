"""Leasing items to agents: W&B's pop, the waiting claim with what the agent has free, and returning items."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.http.disconnect import DisconnectWatch
from launchd.server.models import AgentGpus, LaunchAgent, LeasedItem, Record, Viewer
from launchd.server.notifier import Work, work_topics
from launchd.server.resolvers.launch.gpus import read_gpus
from launchd.server.resolvers.long_poll import wait_for
from launchd.server.store.launch import agents, fitting, leases, queues, restored
from launchd.server.store.launch.taking import Lease

mutation = MutationType()
leased_item = ObjectType("LeasedRunQueueItem")
bindables = [mutation, leased_item]

_MOST_ITEMS = 1000
_NOTHING: dict[str, Any] = {"items": [], "stop_polling": False}
_NO_CAPACITY = leases.Capacity(items=0, schedulers=0)
_LOOK_AGAIN_SECONDS = 1.0
"""How soon a claim looks again that finds claims paused."""


@leased_item.field("runQueueItemId")
def resolve_item_id(item: LeasedItem, info: Info) -> str:
    return item.item_id


@leased_item.field("runSpec")
def resolve_run_spec(item: LeasedItem, info: Info) -> msgspec.Raw:
    return info.context.app.job_keys.spec_of(item)


def _lease(context: Context, agent_id: str | None, claim_id: str | None = None) -> Lease:
    seconds = context.app.settings.lease_seconds
    return Lease(viewer=context.viewer, agent_id=agent_id, claim_id=claim_id, seconds=seconds)


@mutation.field("popFromRunQueue")
async def pop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any] | None:
    context = info.context
    agent_id: str | None = input.get("launch_agent_id")
    lease = _lease(context, agent_id)

    def work(connection: Connection) -> tuple[list[str], LeasedItem | None]:
        queue = queues.require_queue(
            connection, context.viewer, input["entity_name"], input["project_name"], input["queue_name"]
        )
        agent = agents.require_agent(connection, context.viewer, agent_id) if agent_id else None
        if agent is not None:
            agents.check_entity(queue, agent.entity_name)
        returned = leases.return_expired(connection)
        if (agent is not None and agent.stop_polling) or restored.paused_seconds(connection):
            return returned, None
        return returned, leases.pop(connection, queue, lease)

    begun = time.monotonic()
    returned, item = await context.write_guarded(work)
    context.app.measures.claim(time.monotonic() - begun)
    _note_returned(context, returned)
    if item is None:
        return None
    _note_leased(context, lease, [item])
    return {"run_queue_item_id": item.item_id, "run_spec": context.app.job_keys.spec_of(item)}


@mutation.field("claimRunQueueItems")
async def claim(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    agent_id: str = input["launch_agent_id"]
    told = read_gpus(input.get("gpus"))
    agent = await context.read(_agent_with_queues, context.viewer, agent_id)
    topics = [agent_id, *work_topics(agent.queue_ids, _kinds(input, told))]

    async def poll(connection_watch: DisconnectWatch) -> dict[str, Any]:
        if await connection_watch.has_gone():
            return _NOTHING
        lease = _lease(context, agent_id, input["claim_id"])
        begun = time.monotonic()
        claimed = await context.write_guarded(_claim(context, input, told, lease, lambda: connection_watch.gone))
        context.app.measures.claim(time.monotonic() - begun)
        _note_returned(context, claimed.returned)
        context.app.notifier.wake_all(work_topics(claimed.to_look, [Work.GPUS]))
        if claimed.paused_seconds:
            _look_again(context, topics, claimed.paused_seconds)
        if claimed.items:
            _note_leased(context, lease, claimed.items)
            if await connection_watch.has_gone():
                await _return_undelivered(context, agent_id, claimed.items)
        # An agent that has told other GPUs since has to claim with those.
        return {"items": claimed.items, "stop_polling": claimed.stop_polling, "superseded": claimed.superseded}

    return await wait_for(context, topics, input["wait_seconds"], poll, lambda answer: any(answer.values()))


def _agent_with_queues(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent:
    agent = agents.require_agent(connection, viewer, agent_id)
    agents.require_queues(connection, agent)
    return agent


def _kinds(input: dict[str, Any], told: AgentGpus | None) -> list[Work]:
    """The kinds of items that the claim waits for: none that ask for GPUs, where the agent has none free."""
    kinds = []
    if input["max_items"] > 0:
        kinds += [Work.PLAIN] if told is not None and told.summary.free == 0 else [Work.PLAIN, Work.GPUS]
    return [*kinds, Work.SCHEDULER] if input["max_schedulers"] > 0 else kinds


def _note_returned(context: Context, queue_ids: Sequence[str]) -> None:
    """Wake the claims for queues to which items went back, one for each lease that had ended."""
    context.app.measures.leases_ended(len(queue_ids))
    context.app.notifier.wake_all(work_topics(set(queue_ids)))


def _note_leased(context: Context, lease: Lease, leased: Sequence[LeasedItem]) -> None:
    """Note what was leased before the client hears of it."""
    context.app.measures.leased(item.waited_seconds for item in leased)
    context.app.lease_timer.leased_for(lease.seconds)
    context.app.lease_mark.note(item.lease for item in leased)


class _Claimed(Record, frozen=True, kw_only=True):
    """What a claim found."""

    items: tuple[LeasedItem, ...] = ()
    returned: tuple[str, ...] = ()
    """The queue of each item that went back because its lease had ended."""
    to_look: frozenset[str] = frozenset()
    """Queues whose claims for GPUs are to look again."""
    superseded: bool = False
    """The agent has told other GPUs since."""
    stop_polling: bool = False
    paused_seconds: float = 0.0
    """How long claims are still paused."""


def _claim(
    context: Context, input: dict[str, Any], told: AgentGpus | None, lease: Lease, gone: Callable[[], bool]
) -> Callable[[Connection], _Claimed]:
    wanted = leases.Capacity(
        items=min(input["max_items"], _MOST_ITEMS), schedulers=min(input["max_schedulers"], _MOST_ITEMS)
    )
    backfill = context.app.settings.backfill_seconds
    gpus = None if told is None else fitting.Gpus(summary=told.summary, backfill_seconds=backfill)

    def work(connection: Connection) -> _Claimed:
        # Checked as late as possible: no item must be leased to a client that has disconnected.
        if gone():
            return _Claimed()
        agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
        agents.check_incarnation(agent, input.get("incarnation"))
        if agent.stop_polling:
            return _Claimed(stop_polling=True)
        returned = leases.return_expired(connection)
        paused = restored.paused_seconds(connection)
        # What an agent that has left is leased would not be acknowledged.
        if paused or agent.status == agents.KILLED:
            return _Claimed(returned=tuple(returned), paused_seconds=paused)
        superseded = told is not None and not agents.note_gpus(connection, agent, told)
        # A repeated claim still gets what it was leased.
        claimed = leases.claim(connection, agent, _NO_CAPACITY if superseded else wanted, lease, gpus)
        return _Claimed(items=claimed.items, returned=tuple(returned), to_look=claimed.to_look, superseded=superseded)

    return work


def _look_again(context: Context, topics: list[str], paused_seconds: float) -> None:
    """Have claims that wait on these topics look again, because nothing tells them that a pause is over."""
    delay = min(paused_seconds, _LOOK_AGAIN_SECONDS)
    asyncio.get_running_loop().call_later(delay, context.app.notifier.notify_local_all, topics)


async def _return_undelivered(context: Context, agent_id: str, leased: tuple[LeasedItem, ...]) -> None:
    """Return items to their queues, because the client disconnected while the lease was being written.

    If the client reconnects at this moment, its acknowledgement fails, which costs one claim and does no harm.
    """
    numbers, viewer = [item.lease for item in leased], context.viewer
    await return_to_queues(context, lambda connection: leases.return_leases(connection, viewer, agent_id, numbers))


@mutation.field("returnRunQueueItems")
async def return_items(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    numbers: list[int] | None = input.get("leases")

    def work(connection: Connection) -> list[tuple[str, str]]:
        agent = agents.require_agent(connection, context.viewer, input["launch_agent_id"])
        if numbers is not None:
            return leases.return_leases(connection, context.viewer, agent.id, numbers)
        return leases.return_items(connection, context.viewer, agent.id, input["run_queue_item_ids"])

    return {"returned": await return_to_queues(context, work)}


async def return_to_queues(context: Context, work: Callable[[Connection], list[tuple[str, str]]]) -> list[str]:
    """Run `work`, which returns items to their queues, and wake the claims that wait for work. Returns their ids."""
    returned = await context.write_guarded(work)
    context.app.notifier.wake_all(work_topics(queue_id for _, queue_id in returned))
    return [item_id for item_id, _ in returned]
