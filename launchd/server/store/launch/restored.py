"""A database that is older than what its agents know, because it was restored from a copy.

It shows when an agent names a lease number that this database has never given, or an item that it has acknowledged and
that waits here, or is only leased. From then on the epoch is one higher, and claims pause: other agents may run items
that wait here. The pause ends when the agents that were living before this server started have come back, at the latest
after a limit. When such an agent resumes, the numbers go on above its own.

A start shows it too: where a higher lease number is noted beside the database, or no agent was heard for long. While
items wait then, nothing is leased for a moment, in which the agents come back.
"""

import logging
import time
from typing import Any

from sqlalchemy import Connection, Float, String, and_, bindparam, case, exists, func, null, or_, select, update

from ipc.boot_clock import boot_id
from launchd.server.models import Item, Record, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.clock import NOW
from launchd.server.store.launch import items, lease_numbers
from launchd.server.store.launch.agents import KILLED
from launchd.server.store.launch.fitting import IS_PASSED
from launchd.server.store.launch.served import is_served
from launchd.server.store.launch.states import LEASED, PENDING
from launchd.server.store.runs.states import HEARTBEAT_STATES
from launchd.server.store.tables import launch_agents, run_queue_items, runs, server_state

logger = logging.getLogger(__name__)

START_PAUSE_SECONDS = 10.0
"""How long claims pause at a start that shows a restored database: agents ask a server that is away more often."""

_HEARD_TOGETHER_SECONDS = 600.0
"""Agents that were heard so long before the last one are not waited for."""
_BETWEEN_PAUSES_SECONDS = 600.0
"""No agent can keep the claims of others paused by what it says."""
_LEASE_SECONDS = 60.0

item, agent, state = run_queue_items.c, launch_agents.c, server_state.c

_IS_EXPECTED = and_(agent.status != KILLED, agent.incarnation.is_not(None))
_LAST_HEARD = select(func.max(agent.heartbeat_at)).where(_IS_EXPECTED)
_LEAST_SILENCE = select(NOW - func.max(agent.heard_at)).where(_IS_EXPECTED)
# By the wall clock, because `heard_at` is renewed after a boot.
_AWAIT = update(launch_agents).values(awaited=and_(_IS_EXPECTED, agent.heartbeat_at >= bindparam("since")))
_AWAIT_AGENT = update(launch_agents).where(agent.id == bindparam("of_id")).values(awaited=True)
_RESET = update(server_state).values(claims_paused_until=null(), restored_at=null())
_PAUSE = update(server_state).values(claims_paused_until=NOW + bindparam("seconds", type_=Float))
_NOTE_RESTORED = (
    update(server_state)
    .where(or_(state.restored_at.is_(None), state.restored_at < NOW - _BETWEEN_PAUSES_SECONDS))
    .values(restored_at=NOW, epoch=state.epoch + 1)
)
# The list does not have agents that registered after the copy was made: they are given a moment as well.
_IS_WAITED_FOR = or_(
    state.restored_at.is_(None), state.restored_at > NOW - START_PAUSE_SECONDS, exists().where(agent.awaited)
)
_PAUSED = select(case((_IS_WAITED_FOR, state.claims_paused_until - NOW)))
_ITEMS_WAIT = select(exists().where(item.state == PENDING))
_IS_BACK = update(launch_agents).where(agent.id == bindparam("of_id"), agent.awaited).values(awaited=False)
_BOOT = select(state.boot_id)
_RENEW_LEASES = (
    update(run_queue_items).where(item.state == LEASED).values(lease_ends_at=NOW + bindparam("seconds", type_=Float))
)
_RENEW_PASSED = update(run_queue_items).where(IS_PASSED).values(passed_at=NOW)
_RENEW_AGENTS = update(launch_agents).values(heard_at=NOW)
_RENEW_RUNS = update(runs).where(runs.c.state.in_(HEARTBEAT_STATES)).values(heard_at=NOW)
_LEASED_AGAIN = (
    update(run_queue_items)
    .where(
        item.id == bindparam("of_id"),
        item.state.in_((PENDING, LEASED)),
        is_served(item.queue_id, bindparam("to_agent", type_=String)),
    )
    .values(
        state=LEASED,
        agent_id=bindparam("to_agent", type_=String),
        claim_id=None,
        lease_number=bindparam("new_lease"),
        leased_at=bindparam("now"),
        lease_ends_at=NOW + bindparam("seconds", type_=Float),
    )
)


class Start(Record, frozen=True, kw_only=True):
    """What a server that starts goes by. Times are seconds."""

    lease_seconds: float
    timeout_seconds: float
    """An agent that was not heard for so long is LOST."""
    pause_seconds: float
    noted_lease: int
    """The highest lease number that is known beside the database."""


def start(connection: Connection, begun: Start) -> None:
    """Prepare a database for a server that starts: renew what refers to an earlier boot, wait for agents if need be.

    They are waited for where the database may be a restored one and items wait, which they may run.
    """
    is_older = lease_numbers.is_from_the_future(begun.noted_lease, lease_numbers.highest(connection))
    silence = connection.execute(_LEAST_SILENCE).scalar()
    may_be_restored = is_older or (silence is not None and silence > begun.timeout_seconds)
    if connection.dialect.name == "sqlite" and _has_booted(connection):
        may_be_restored = may_be_restored or silence is not None
        connection.execute(_RENEW_LEASES, {"seconds": begun.lease_seconds})
        connection.execute(_RENEW_PASSED)
        connection.execute(_RENEW_AGENTS)
        connection.execute(_RENEW_RUNS)
    last = connection.execute(_LAST_HEARD).scalar() or 0.0
    connection.execute(_AWAIT, {"since": last - _HEARD_TOGETHER_SECONDS})
    connection.execute(_RESET)
    if may_be_restored and connection.execute(_ITEMS_WAIT).scalar():
        connection.execute(_PAUSE, {"seconds": min(begun.pause_seconds, START_PAUSE_SECONDS)})


def _has_booted(connection: Connection) -> bool:
    boot = boot_id()
    if connection.execute(_BOOT).scalar() == boot:
        return False
    connection.execute(update(server_state), {"boot_id": boot})
    return True


def note_numbers(connection: Connection, agent_id: str, shown: int, pause_seconds: float) -> None:
    """Take note of the highest lease number that an agent shows.

    Above those that were given, the database is a restored one: numbers go on above it, and claims pause.
    """
    if lease_numbers.is_from_the_future(shown, lease_numbers.highest(connection)):
        lease_numbers.raise_to(connection, shown)
        begin_pause(connection, agent_id, pause_seconds)


def begin_pause(connection: Connection, agent_id: str, pause_seconds: float) -> None:
    """Pause claims, because the agent has shown that this database is a restored one, unless they were just now.

    The agent is waited for, also where it was heard before: that heartbeat may have been on its way for long.
    """
    connection.execute(_AWAIT_AGENT, {"of_id": agent_id})
    if connection.execute(_NOTE_RESTORED).rowcount:
        connection.execute(_PAUSE, {"seconds": pause_seconds})
        logger.warning(
            "An agent has an item that this database does not know as that agent's: it was restored from a copy."
            " Claims pause until the other agents are heard.",
            extra={"agent": agent_id, "seconds": pause_seconds},
        )


def is_back(connection: Connection, agent_id: str) -> None:
    """Note that an agent has come back, with nothing left to settle."""
    connection.execute(_IS_BACK, {"of_id": agent_id})


def paused_seconds(connection: Connection) -> float:
    """How long nothing is to be leased; 0 where claims are not paused."""
    return max(0.0, connection.execute(_PAUSED).scalar() or 0.0)


def find_item(connection: Connection, viewer: Viewer, agent_id: str, item_id: str, *, lease: int) -> Item | None:
    """The item that an agent speaks of, if the viewer may use it.

    If the agent names a later lease of the item than this database knows, and the item is not acknowledged here, it is
    leased to the agent again under that number. The counter may be above it: agents may have shown later numbers since.
    """
    found = items.find_item(connection, viewer, item_id)
    if found is None or found.state not in (PENDING, LEASED):
        return found
    if not lease_numbers.is_from_the_future(lease, found.lease_number):
        return found
    values: dict[str, Any] = {
        "of_id": item_id,
        "to_agent": agent_id,
        "new_lease": lease,
        "now": time.time(),
        "seconds": _LEASE_SECONDS,
    }
    connection.execute(_LEASED_AGAIN, values | binds(viewer))
    return items.find_item(connection, viewer, item_id)
