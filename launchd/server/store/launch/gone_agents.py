"""Agents that are long gone: which of them lists leave out, and which rows are removed.

Each start of an agent whose state directory is new adds a row, and W&B's agents have none that they keep.
"""

import time

from sqlalchemy import ColumnElement, Connection, Float, bindparam, delete, exists, or_, select

from launchd.server.store.clock import NOW
from launchd.server.store.launch.states import HELD
from launchd.server.store.tables import launch_agent_queues, launch_agents, run_queue_items

DAY_SECONDS = 24 * 3600.0

LISTED_SECONDS = 7 * DAY_SECONDS
"""An agent that was not heard for so long, and holds no item, is not listed."""

KEPT_SECONDS = 30 * DAY_SECONDS
"""An agent that was not heard for so long is removed, unless an item names it. If it comes back, it registers anew."""

_BATCH = 500

_agent, _item = launch_agents.c, run_queue_items.c
_NAMES_IT = exists().where(_item.agent_id == _agent.id)


def _is_silent(for_seconds: float, now: ColumnElement[float]) -> ColumnElement[bool]:
    # The store's clock begins anew with each boot, and the wall clock may have been ahead: silence is what both say.
    return (_agent.heartbeat_at < now - for_seconds) & (NOW - _agent.heard_at > min(for_seconds, DAY_SECONDS))


_now: ColumnElement[float] = bindparam("now", type_=Float)
IS_LISTED = or_(~_is_silent(LISTED_SECONDS, _now), _NAMES_IT.where(_item.state.in_(HELD)))
"""Condition: the agent was heard of late, or holds an item. Needs the value `now`, in seconds since the epoch."""

_GONE = select(_agent.id).where(_is_silent(KEPT_SECONDS, _now), ~_NAMES_IT).limit(_BATCH).with_for_update()


def remove_some(connection: Connection) -> int:
    """Remove agents that are long gone and that no item names, at most a batch; returns how many they were."""
    gone = list(connection.execute(_GONE, {"now": time.time()}).scalars())
    if gone:
        connection.execute(delete(launch_agent_queues).where(launch_agent_queues.c.agent_id.in_(gone)))
        connection.execute(delete(launch_agents).where(_agent.id.in_(gone)))
    return len(gone)
