"""Why an item waits, was refused or failed, in sentences that are true when they are said.

What is said comes from what the server has recorded: where the item is, what agents told of themselves and of their
GPUs, for how long it was passed, and the reports. What an agent decided on its host, that agent knows (`launchd why`).
"""

import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from ipc.gpus import GpuSummary
from launchd.server.models import Item, ItemReason, LaunchAgent, Record, Viewer
from launchd.server.store.launch import agents, fitting, holdings, items, queues, restored
from launchd.server.store.launch.demands import NONE, decode
from launchd.server.store.launch.states import CLAIMED, ENDED, FAILED, LEASED, PENDING

UNLIMITED = -1
"""`max_jobs` of an agent without a limit."""


class Terms(Record, frozen=True, kw_only=True):
    """Settings of the server that decide: times in seconds."""

    agent_timeout_seconds: float
    backfill_seconds: float


def reasons(connection: Connection, viewer: Viewer, found: Item, terms: Terms) -> list[ItemReason]:
    """Why the item is where it is: one reason, or where it waits one for each agent that could take it."""
    if found.state in ENDED:
        return [_ended(found)]
    if found.state != PENDING:
        return [_held(connection, viewer, found)]
    paused = restored.paused_seconds(connection)
    if paused:
        sentence = f"The queue server hands nothing out for another {paused:.0f} s: its database was restored."
        return [ItemReason(code="PAUSED", sentence=sentence)]
    pause = queues.pause_of(connection, found.queue_id)
    if pause is not None:
        return [_of_paused(found, pause)]
    return _waiting(connection, viewer, found, terms)


def fits_no_agent(connection: Connection, viewer: Viewer, found: Item, terms: Terms) -> bool:
    """Whether there are living agents of the item's queue, and none of them could ever fit what it asks for."""
    if found.state != PENDING or found.demand == NONE:
        return False
    there = agents.gpus_of_living(connection, viewer, found.queue_id, terms.agent_timeout_seconds)
    return bool(there) and all(_never_fits(gpus, found) for gpus in there)


def _never_fits(gpus: GpuSummary | None, found: Item) -> bool:
    return gpus is not None and found.demand != NONE and not gpus.fits_ever(decode(found.demand))


def _ended(found: Item) -> ItemReason:
    stage = f" at the stage {found.stage}" if found.stage and found.state == FAILED else ""
    code = "" if found.exit_code is None else f" with exit code {found.exit_code}"
    why = f": {found.message}" if found.message else "."
    return ItemReason(code=found.state, sentence=f"It has ended as {found.state.lower()}{stage}{code}{why}")


def _held(connection: Connection, viewer: Viewer, found: Item) -> ItemReason:
    holder = agents.find_agent(connection, viewer, found.agent_id) if found.agent_id else None
    where = f"The agent on host {holder.hostname!r}" if holder else "An agent"
    if found.state == LEASED:
        return ItemReason(code=LEASED, sentence=f"{where} was given it and has not acknowledged it yet.")
    status = found.status or "starting"
    phase = f" ({found.phase})" if found.phase and found.phase != status else ""
    why = f": {found.message}" if found.message else "."
    return ItemReason(code=CLAIMED, sentence=f"{where} has it, {status}{phase}{why}")


def _waiting(connection: Connection, viewer: Viewer, found: Item, terms: Terms) -> list[ItemReason]:
    living = agents.living_of_queue(connection, viewer, found.queue_id, terms.agent_timeout_seconds)
    if not living:
        sentence = f"No living agent serves queue {found.queue_name!r}. `launchd agents` lists those that are known."
        return [ItemReason(code="NO_AGENT", sentence=sentence)]
    if all(_never_fits(agent.gpus, found) for agent in living):
        return [_fits_nowhere(found, living)]
    here = [_at_agent(connection, agent, found, terms) for agent in living]
    return [*_passed(found, terms), *_ahead(connection, found), *here]


def _of_paused(found: Item, pause: tuple[float, str]) -> ItemReason:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(pause[0]))
    sentence = (
        f"Queue {found.queue_name!r} was paused by {pause[1]} at {since} UTC: it gives out nothing until"
        f" `launchd queue resume {shlex.quote(found.queue_name)}`."
    )
    return ItemReason(code="QUEUE_PAUSED", sentence=sentence)


def _fits_nowhere(found: Item, living: list[LaunchAgent]) -> ItemReason:
    there = "; ".join(f"host {agent.hostname!r} has {_in_all(agent.gpus)}" for agent in living if agent.gpus)
    sentence = (
        f"It asks for {decode(found.demand).words()}, which no living agent of queue {found.queue_name!r} could ever"
        f" give it: {there}."
    )
    return ItemReason(code="FITS_NO_AGENT", sentence=sentence)


def _in_all(gpus: GpuSummary) -> str:
    """What a host has, as the object of a sentence."""
    kinds = [f"{kind.total} {kind.name or 'GPU'}" for kind in gpus.kinds if kind.total]
    return ", ".join(kinds) or "no GPU"


def _passed(found: Item, terms: Terms) -> Iterator[ItemReason]:
    if found.passed_seconds is None:
        return
    left = terms.backfill_seconds - found.passed_seconds
    then = f"and may be for another {left:.0f} s" if left > 0 else "and GPUs are held back for it now"
    sentence = f"Later items that fit have been given GPUs for {found.passed_seconds:.0f} s, {then}."
    yield ItemReason(code="PASSED", sentence=sentence)


def _ahead(connection: Connection, found: Item) -> Iterator[ItemReason]:
    ahead = holdings.count_ahead(connection, found)
    if ahead:
        number = f"{ahead} {'item waits' if ahead == 1 else 'items wait'}"
        yield ItemReason(code="BEHIND", sentence=f"{number} before it in queue {found.queue_name!r}.")


def _at_agent(connection: Connection, agent: LaunchAgent, found: Item, terms: Terms) -> ItemReason:
    where = f"The agent on host {agent.hostname!r}"
    if agent.stop_polling:
        return ItemReason(code="AGENT_LEAVES", sentence=f"{where} was asked to leave, and takes nothing more.")
    limit = _limit(agent, "max_schedulers" if found.is_scheduler else "max_jobs")
    held = holdings.count_held(connection, agent.id, scheduler=found.is_scheduler)
    if limit is not None and held >= limit:
        return ItemReason(code="AGENT_FULL", sentence=f"{where} has {held} of the {limit} jobs that it takes at once.")
    if found.demand == NONE or agent.gpus is None:
        return ItemReason(code="AGENT_FREE", sentence=f"{where} has room for it, and is given it in its turn.")
    return _by_gpus(connection, agent, agent.gpus, found, terms)


def _by_gpus(connection: Connection, agent: LaunchAgent, gpus: GpuSummary, found: Item, terms: Terms) -> ItemReason:
    where, request = f"host {agent.hostname!r}", decode(found.demand)
    if not gpus.fits_ever(request):
        return ItemReason(code="FITS_NOT_HERE", sentence=f"It asks for {request.words()}; {where} has {_in_all(gpus)}.")
    if not gpus.fits_now(request):
        sentence = f"It asks for {request.words()}; {where} has {gpus.free} of its {gpus.total} GPUs free."
        return ItemReason(code="GPUS_BUSY", sentence=sentence)
    heads = fitting.heads_of(connection, agent.queue_ids)
    offered = fitting.Gpus(summary=gpus, backfill_seconds=terms.backfill_seconds)
    holder = fitting.Candidates(heads, offered).holder((found.priority, found.number), found.demand)
    if holder is not None:
        larger = decode(holder.demand).words()
        sentence = f"The GPUs that are free on {where} are held back for item {items.id_of(connection, holder.number)},"
        return ItemReason(code="HELD_BACK", sentence=f"{sentence} which was passed for long and asks for {larger}.")
    return ItemReason(
        code="AGENT_FREE", sentence=f"It fits the GPUs that are free on {where}, and is given in its turn."
    )


def _limit(agent: LaunchAgent, key: str) -> int | None:
    """How many jobs the agent takes at once, by the configuration that it sent; None: it has no limit, or is silent."""
    try:
        config: Any = msgspec.json.decode(agent.config or "{}")
    except msgspec.DecodeError:
        return None
    limit = config.get(key) if isinstance(config, Mapping) else None
    return limit if isinstance(limit, int) and limit != UNLIMITED else None
