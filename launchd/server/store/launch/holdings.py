"""Counts for people who ask why an item waits: what an agent holds, and what waits before an item."""

from sqlalchemy import Boolean, Connection, bindparam, func, select, tuple_

from launchd.server.models import Item
from launchd.server.store.launch.states import HELD
from launchd.server.store.launch.waiting import IS_WAITING
from launchd.server.store.tables import run_queue_items

MOST_COUNTED = 1000
"""More than so many items before another are not counted."""

item = run_queue_items.c
_KIND = item.is_scheduler == bindparam("scheduler", type_=Boolean)
_HELD = select(func.count()).where(item.agent_id == bindparam("of_agent"), item.state.in_(HELD), _KIND)
_BEFORE = (
    select(item.number)
    .where(
        item.queue_id == bindparam("of_queue"),
        _KIND,
        IS_WAITING,
        tuple_(item.priority, item.number) < tuple_(bindparam("of_priority"), bindparam("of_number")),
    )
    .limit(MOST_COUNTED)
    .subquery()
)
_AHEAD = select(func.count()).select_from(_BEFORE)


def count_held(connection: Connection, agent_id: str, *, scheduler: bool) -> int:
    """How many items of a kind the agent holds."""
    return connection.execute(_HELD, {"of_agent": agent_id, "scheduler": scheduler}).scalar() or 0


def count_ahead(connection: Connection, found: Item) -> int:
    """How many items of its kind are before this one in its queue; at most `MOST_COUNTED`."""
    which = {
        "of_queue": found.queue_id,
        "scheduler": found.is_scheduler,
        "of_priority": found.priority,
        "of_number": found.number,
    }
    return connection.execute(_AHEAD, which).scalar() or 0
