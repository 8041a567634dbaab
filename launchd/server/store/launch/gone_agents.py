"""Agents that are long gone: their rows are removed where nothing names them.

Each start of an agent whose state directory is new adds a row, and each start of one of W&B's.
"""

import time

from sqlalchemy import Connection, Float, bindparam, delete, exists, select

from launchd.server.store.clock import NOW
from launchd.server.store.tables import launch_agent_queues, launch_agents, run_queue_items

_DAY_SECONDS = 24 * 3600.0

_KEPT_SECONDS = 30 * _DAY_SECONDS
"""An agent that was not heard for so long is removed, unless an item names it. If it comes back, it registers anew."""

_BATCH = 500

_agent = launch_agents.c
_GONE = (
    select(_agent.id)
    .where(_agent.heartbeat_at < bindparam("now", type_=Float) - _KEPT_SECONDS)
    # The store's clock begins anew with each boot, so the wall clock counts; but that may be far ahead for a while.
    .where(NOW - _agent.heard_at > _DAY_SECONDS)
    .where(~exists().where(run_queue_items.c.agent_id == _agent.id))
    .limit(_BATCH)
    # One that is heard meanwhile is none of them.
    .with_for_update()
)


def remove_some(connection: Connection) -> int:
    """Remove agents that are long gone and that no item names, at most a batch; returns how many they were."""
    gone = list(connection.execute(_GONE, {"now": time.time()}).scalars())
    if gone:
        connection.execute(delete(launch_agent_queues).where(launch_agent_queues.c.agent_id.in_(gone)))
        connection.execute(delete(launch_agents).where(_agent.id.in_(gone)))
    return len(gone)
