"""How many items wait or are held in which queue, and how many agents there are, for metrics.

Indexes answer for the items: what has ended is not read.
"""

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, func, select

from launchd.server.models import Record
from launchd.server.store.clock import NOW
from launchd.server.store.launch.agents import KILLED, LOST
from launchd.server.store.launch.waiting import IS_HELD, IS_WAITING
from launchd.server.store.tables import entities, launch_agents, projects, run_queue_items, run_queues

item, agent = run_queue_items.c, launch_agents.c

_MOST_QUEUES = 100
"""What other queues hold is counted together."""

_OTHER = "other"
_FORGOTTEN_SECONDS = 24 * 3600.0
"""An agent that has been silent for so long counts no more."""

_QUEUE_NAMES = (
    select(run_queues.c.id, run_queues.c.name, entities.c.name.label("entity"))
    .join(projects, projects.c.id == run_queues.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .where(run_queues.c.id.in_(bindparam("of_queues", expanding=True)))
)
_STATUS = case((NOW - agent.heard_at > bindparam("timeout"), LOST), else_=agent.status)
_AGENTS = (
    select(_STATUS.label("shown"), func.count().label("agents"))
    .where(agent.status != KILLED, NOW - agent.heard_at < _FORGOTTEN_SECONDS)
    .group_by("shown")
)


def _by_queue(condition: ColumnElement[bool]) -> Select[Any]:
    columns = item.queue_id, item.state
    return select(*columns, func.count().label("items")).where(condition).group_by(*columns)


# Apart, for each has an index of its own.
_WAITING, _HELD = _by_queue(IS_WAITING), _by_queue(IS_HELD)


class Census(Record, frozen=True, kw_only=True):
    """Items that are not over by entity, queue and state, and agents that have not left by status; in small letters."""

    items: dict[tuple[str, str, str], int]
    agents: dict[str, int]


def take_census(connection: Connection, agent_timeout_seconds: float) -> Census:
    """Count what there is now."""
    counts = {
        (str(row.queue_id), str(row.state)): int(row.items)
        for statement in (_WAITING, _HELD)
        for row in connection.execute(statement)
    }
    rows = connection.execute(_AGENTS, {"timeout": agent_timeout_seconds})
    return Census(items=_named(connection, counts), agents={row.shown.lower(): row.agents for row in rows})


def _named(connection: Connection, counts: dict[tuple[str, str], int]) -> dict[tuple[str, str, str], int]:
    """Items by the names of their queues, the fullest first."""
    of_queue: Counter[str] = Counter()
    for (queue_id, _), number in counts.items():
        of_queue[queue_id] += number
    shown = [queue_id for queue_id, _ in of_queue.most_common(_MOST_QUEUES)]
    names = {row.id: (row.entity, row.name) for row in connection.execute(_QUEUE_NAMES, {"of_queues": shown})}
    items: Counter[tuple[str, str, str]] = Counter()
    for (queue_id, state), number in counts.items():
        entity, queue = names.get(queue_id, (_OTHER, _OTHER))
        items[(entity, queue, state.lower())] += number
    return dict(items)
