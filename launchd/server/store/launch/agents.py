"""Launch agents: registration, status, heartbeat, the request to leave."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from launchd.server.errors import NotFound
from launchd.server.models import EntityRecord, LaunchAgent, Viewer
from launchd.server.store.accounts.authorization import binds, may_use
from launchd.server.store.ids import new_id
from launchd.server.store.launch.queues import require_queue_by_id
from launchd.server.store.tables import entities, launch_agent_queues, launch_agents, projects, run_queues

POLLING = "POLLING"
KILLED = "KILLED"
"""The agent reported that it leaves."""
LOST = "LOST"
"""Shown where heartbeats stopped; W&B's agents never report it."""

agent = launch_agents.c
_AGENTS = (
    select(
        agent.id,
        entities.c.name.label("entity_name"),
        agent.name,
        agent.hostname,
        agent.status,
        agent.stop_polling,
        agent.config,
        agent.version,
        agent.created_at,
        agent.heartbeat_at,
        agent.next_queue,
    )
    .join(entities)
    .where(may_use(agent.entity_id))
)
_BY_ID = _AGENTS.where(agent.id == bindparam("of_id"))
_OF_ENTITY = _AGENTS.where(agent.entity_id == bindparam("of_entity")).order_by(agent.created_at.desc())
_QUEUES_OF = (
    select(run_queues.c.id, run_queues.c.name)
    .join(launch_agent_queues, launch_agent_queues.c.queue_id == run_queues.c.id)
    .join(projects, projects.c.id == run_queues.c.project_id)
    .where(launch_agent_queues.c.agent_id == bindparam("of_id"), run_queues.c.deleted_at.is_(None))
    # A user who leaves a team takes no more of its items, with an agent registered before.
    .where(may_use(projects.c.entity_id))
    .order_by(launch_agent_queues.c.place)
)
_UPDATE = update(launch_agents).where(agent.id == bindparam("of_id"))


def create_agent(
    connection: Connection,
    viewer: Viewer,
    entity: EntityRecord,
    queue_ids: Sequence[str],
    *,
    hostname: str,
    config: str | None,
    version: str | None,
) -> str:
    """Register an agent for these queues. Returns its id.

    Raises:
        NotFound: one of the queues is missing or not usable by the viewer.
    """
    for queue_id in queue_ids:
        require_queue_by_id(connection, viewer, queue_id)
    agent_id, now = new_id(), time.time()
    row = {
        "id": agent_id,
        "entity_id": entity.id,
        # W&B's client makes a run of this name, so only letters and digits.
        "name": f"agent{agent_id[:8]}",
        "hostname": hostname,
        "status": POLLING,
        "stop_polling": False,
        "config": config,
        "version": version,
        "created_at": now,
        "heartbeat_at": now,
        "next_queue": 0,
    }
    connection.execute(insert(launch_agents), row)
    _add_queues(connection, agent_id, queue_ids)
    return agent_id


def _add_queues(connection: Connection, agent_id: str, queue_ids: Sequence[str]) -> None:
    places = [
        {"agent_id": agent_id, "place": place, "queue_id": queue_id}
        for place, queue_id in enumerate(dict.fromkeys(queue_ids))
    ]
    if places:
        connection.execute(insert(launch_agent_queues), places)


def _agent(connection: Connection, viewer: Viewer, row: Any) -> LaunchAgent:
    queues = connection.execute(_QUEUES_OF, {"of_id": row.id, **binds(viewer)}).all()
    return LaunchAgent(
        **row._mapping,
        queue_ids=tuple(queue.id for queue in queues),
        queue_names=tuple(queue.name for queue in queues),
    )


def find_agent(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent | None:
    """The agent, if the viewer may use it."""
    row = connection.execute(_BY_ID, {"of_id": agent_id, **binds(viewer)}).first()
    return _agent(connection, viewer, row) if row else None


def require_agent(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent:
    """Raises:
    NotFound: no such agent that the viewer may use.
    """
    agent = find_agent(connection, viewer, agent_id)
    if agent is None:
        raise NotFound(f"There is no launch agent with the id {agent_id[:100]!r} that you may use; register again.")
    return agent


def agents_of(connection: Connection, viewer: Viewer, entity: EntityRecord) -> list[LaunchAgent]:
    """Agents of an entity, the newest first."""
    rows = connection.execute(_OF_ENTITY, {"of_entity": entity.id, **binds(viewer)}).all()
    return [_agent(connection, viewer, row) for row in rows]


def record_heartbeat(connection: Connection, agent_id: str, status: str | None = None) -> None:
    """Record a heartbeat, and the status if one came with it."""
    values: dict[str, Any] = {"of_id": agent_id, "heartbeat_at": time.time()}
    if status is not None:
        values["status"] = status
    connection.execute(_UPDATE, values)


def stop_polling(connection: Connection, agent_id: str) -> None:
    """Ask the agent to stop polling and leave."""
    connection.execute(_UPDATE, {"of_id": agent_id, "stop_polling": True})
