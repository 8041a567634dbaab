"""Launch agents: registration, status, heartbeat, the request to leave, and which process one is.

A launchd agent is one process at a time, its incarnation. Its heartbeats do not make it living again once it has left:
only a resumption does, so that a heartbeat on its way cannot undo a departure.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Float, and_, bindparam, case, exists, insert, or_, select, update

from ipc.gpus import GpuSummary
from launchd.server.errors import NotFound, SecondIncarnation, UnknownAgent
from launchd.server.models import AgentGpus, AgentIdentity, EntityRecord, LaunchAgent, Queue, Viewer
from launchd.server.store.accounts.authorization import binds, may_serve
from launchd.server.store.clock import NOW
from launchd.server.store.ids import new_id
from launchd.server.store.launch.queues import require_queue_by_id
from launchd.server.store.launch.states import HELD
from launchd.server.store.tables import (
    entities,
    launch_agent_queues,
    launch_agents,
    projects,
    run_queue_items,
    run_queues,
)

_decoder = msgspec.json.Decoder(GpuSummary)

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
        agent.stop_polling_by,
        agent.owner_id,
        agent.config,
        agent.version,
        agent.created_at,
        agent.heartbeat_at,
        agent.next_queue,
        agent.incarnation,
        agent.incarnation_since,
        agent.machine_id,
        (NOW - agent.heard_at).label("silent_seconds"),
        agent.gpus,
        agent.gpus_version,
    )
    .join(entities)
    .where(may_serve(agent.entity_id))
)
_BY_ID = _AGENTS.where(agent.id == bindparam("of_id"))
_OF_ENTITY = _AGENTS.where(agent.entity_id == bindparam("of_entity")).order_by(agent.created_at.desc())
_SERVES_LIVING = (
    agent.id.in_(select(launch_agent_queues.c.agent_id).where(launch_agent_queues.c.queue_id == bindparam("of_queue"))),
    agent.status != KILLED,
    NOW - agent.heard_at <= bindparam("timeout", type_=Float),
)
_LIVING = _AGENTS.where(*_SERVES_LIVING).order_by(agent.created_at.desc(), agent.id)
_GPUS_OF_LIVING = select(agent.gpus).where(*_SERVES_LIVING, may_serve(agent.entity_id))
_QUEUES_OF = (
    select(run_queues.c.id, run_queues.c.name)
    .join(launch_agent_queues, launch_agent_queues.c.queue_id == run_queues.c.id)
    .join(projects, projects.c.id == run_queues.c.project_id)
    .join(launch_agents, agent.id == launch_agent_queues.c.agent_id)
    .where(agent.id == bindparam("of_id"), run_queues.c.deleted_at.is_(None))
    # A user who leaves a team takes no more of its items, with an agent registered before.
    .where(projects.c.entity_id == agent.entity_id, may_serve(projects.c.entity_id))
    .order_by(launch_agent_queues.c.place)
)
_again = run_queues.alias("again")
_GONE_QUEUES = (
    select(
        run_queues.c.name,
        exists()
        .where(
            _again.c.project_id == run_queues.c.project_id,
            _again.c.name == run_queues.c.name,
            _again.c.deleted_at.is_(None),
        )
        .label("made_again"),
    )
    .join(launch_agent_queues, launch_agent_queues.c.queue_id == run_queues.c.id)
    .where(launch_agent_queues.c.agent_id == bindparam("of_id"), run_queues.c.deleted_at.is_not(None))
)
_earlier = launch_agents.alias("earlier")
_PREDECESSORS = (
    select(_earlier.c.id)
    .join(launch_agents, (_earlier.c.entity_id == agent.entity_id) & (_earlier.c.machine_id == agent.machine_id))
    .where(agent.id == bindparam("of_id"), may_serve(agent.entity_id), _earlier.c.id != agent.id)
    .where(or_(_earlier.c.status == KILLED, NOW - _earlier.c.heard_at > bindparam("timeout", type_=Float)))
    .where(
        exists().where(run_queue_items.c.agent_id == _earlier.c.id, run_queue_items.c.state.in_(HELD)),
    )
)
_UPDATE = update(launch_agents).where(agent.id == bindparam("of_id"))
_HEARD = _UPDATE.values(heard_at=NOW, heartbeat_at=bindparam("now"))
# What an agent says after it has left was under way meanwhile. W&B's may only be back, unless it was asked to leave.
_may_be_back = and_(agent.incarnation.is_(None), agent.stop_polling.is_(False))
_HEARD_WITH_STATUS = _HEARD.values(
    status=case((or_(agent.status != KILLED, _may_be_back), bindparam("new_status")), else_=KILLED)
)
_RESUMED = _HEARD.values(
    status=case((agent.status == KILLED, POLLING), else_=agent.status),
    incarnation_since=case(
        (agent.incarnation.is_not_distinct_from(bindparam("new_incarnation")), agent.incarnation_since),
        else_=bindparam("now"),
    ),
    incarnation=bindparam("new_incarnation"),
    # Each process counts anew what it tells.
    gpus_version=case(
        (agent.incarnation.is_not_distinct_from(bindparam("new_incarnation")), agent.gpus_version), else_=0
    ),
)
_REPORT_GPUS = _UPDATE.where(agent.gpus_version < bindparam("new_version")).values(
    gpus=bindparam("new_gpus"), gpus_version=bindparam("new_version")
)


def create_agent(
    connection: Connection,
    viewer: Viewer,
    entity: EntityRecord,
    queue_ids: Sequence[str],
    *,
    hostname: str,
    config: str | None,
    version: str | None,
    identity: AgentIdentity,
) -> str:
    """Register an agent for these queues. Returns its id.

    Raises:
        NotFound: one of the queues is missing, not usable by the viewer, or of another entity.
    """
    for queue_id in queue_ids:
        check_entity(require_queue_by_id(connection, viewer, queue_id), entity.name)
    agent_id, now = new_id(), time.time()
    row = {
        "id": agent_id,
        "entity_id": entity.id,
        # W&B's client makes a run of this name, so only letters and digits.
        "name": f"agent{agent_id[:8]}",
        "hostname": hostname,
        "status": POLLING,
        "stop_polling": False,
        "owner_id": viewer.user_id,
        "config": config,
        "version": version,
        "created_at": now,
        "heartbeat_at": now,
        "next_queue": 0,
        "incarnation": identity.incarnation,
        "incarnation_since": now,
        "machine_id": identity.machine_id,
    }
    connection.execute(insert(launch_agents).values(heard_at=NOW), row)
    _add_queues(connection, agent_id, queue_ids)
    return agent_id


def check_entity(queue: Queue, entity_name: str) -> None:
    """Check that an agent of this entity may serve the queue.

    Raises:
        NotFound: it belongs to another entity.
    """
    if queue.entity_name != entity_name:
        raise NotFound(
            f"Queue {queue.name!r} belongs to entity {queue.entity_name!r}; this agent is of {entity_name!r}, and"
            " serves the queues of that entity alone."
        )


def _add_queues(connection: Connection, agent_id: str, queue_ids: Sequence[str]) -> None:
    places = [
        {"agent_id": agent_id, "place": place, "queue_id": queue_id}
        for place, queue_id in enumerate(dict.fromkeys(queue_ids))
    ]
    if places:
        connection.execute(insert(launch_agent_queues), places)


def _agent(connection: Connection, viewer: Viewer, row: Any) -> LaunchAgent:
    queues = connection.execute(_QUEUES_OF, {"of_id": row.id, **binds(viewer)}).all()
    fields = dict(row._mapping)
    fields["gpus"] = _told(row.gpus)
    return LaunchAgent(
        **fields,
        queue_ids=tuple(queue.id for queue in queues),
        queue_names=tuple(queue.name for queue in queues),
    )


@functools.lru_cache(maxsize=1024)
def _told(gpus: str | None) -> GpuSummary | None:
    return _decoder.decode(gpus) if gpus else None


def find_agent(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent | None:
    """The agent, if the viewer may use it."""
    row = connection.execute(_BY_ID, {"of_id": agent_id, **binds(viewer)}).first()
    return _agent(connection, viewer, row) if row else None


def require_agent(connection: Connection, viewer: Viewer, agent_id: str) -> LaunchAgent:
    """Raises:
    UnknownAgent: no such agent that the viewer may use.
    """
    agent = find_agent(connection, viewer, agent_id)
    if agent is None:
        raise UnknownAgent(f"There is no launch agent with the id {agent_id[:100]!r} that you may use; register again.")
    return agent


def require_queues(connection: Connection, agent: LaunchAgent) -> None:
    """Check that a new registration would bring the agent no other queues: names are looked up then.

    Raises:
        UnknownAgent: a queue of its was deleted and made again, or all of them are gone.
    """
    gone = connection.execute(_GONE_QUEUES, {"of_id": agent.id}).all()
    made_again = [queue.name for queue in gone if queue.made_again]
    if made_again or (gone and not agent.queue_ids):
        names = ", ".join(sorted(made_again or {queue.name for queue in gone}))
        what = "deleted and made again" if made_again else "deleted"
        raise UnknownAgent(
            f"The queues of launch agent {agent.id} are not as they were: {names} {what}; register again."
        )


def living_of_queue(connection: Connection, viewer: Viewer, queue_id: str, timeout_seconds: float) -> list[LaunchAgent]:
    """The agents that serve a queue and are living, the newest first."""
    rows = connection.execute(_LIVING, {"of_queue": queue_id, "timeout": timeout_seconds, **binds(viewer)}).all()
    return [_agent(connection, viewer, row) for row in rows]


def gpus_of_living(
    connection: Connection, viewer: Viewer, queue_id: str, timeout_seconds: float
) -> list[GpuSummary | None]:
    """The GPUs of the living agents that serve a queue, as far as they told them."""
    values = {"of_queue": queue_id, "timeout": timeout_seconds, **binds(viewer)}
    return [_told(gpus) for gpus in connection.execute(_GPUS_OF_LIVING, values).scalars()]


def agents_of(connection: Connection, viewer: Viewer, entity: EntityRecord) -> list[LaunchAgent]:
    """Agents of an entity, the newest first."""
    rows = connection.execute(_OF_ENTITY, {"of_entity": entity.id, **binds(viewer)}).all()
    return [_agent(connection, viewer, row) for row in rows]


def predecessors(connection: Connection, viewer: Viewer, agent_id: str, timeout_seconds: float) -> list[str]:
    """Agents that hold items and are no longer living, of the same state directory on the same machine.

    The agent's journal does not name them where it was lost or restored.
    """
    values = {"of_id": agent_id, "timeout": timeout_seconds, **binds(viewer)}
    return list(connection.execute(_PREDECESSORS, values).scalars())


def is_living(found: LaunchAgent, timeout_seconds: float) -> bool:
    """Whether the agent has not left and was heard within the timeout."""
    return found.status != KILLED and found.silent_seconds <= timeout_seconds


def check_incarnation(found: LaunchAgent, given: str | None) -> None:
    """Check that a request comes from the process that is the agent. One that does not say which it is passes.

    Raises:
        SecondIncarnation: another process has become this agent.
    """
    if given is not None and found.incarnation is not None and given != found.incarnation:
        raise second_incarnation(found)


def check_successor(found: LaunchAgent, identity: AgentIdentity, timeout_seconds: float) -> None:
    """Check that a process may become this agent: it continues the present one, or that one is no longer living.

    A state directory that was copied names the present process too, so a living one on another machine counts.

    Raises:
        SecondIncarnation: another living process is this agent.
    """
    known = (None, identity.incarnation, identity.previous)
    machines = {found.machine_id, identity.machine_id} - {None}
    elsewhere = len(machines) > 1 and found.incarnation not in (None, identity.incarnation)
    if (found.incarnation not in known or elsewhere) and is_living(found, timeout_seconds):
        raise second_incarnation(found)


def second_incarnation(found: LaunchAgent) -> SecondIncarnation:
    """The error for a process that is not the one that is this agent now."""
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(found.incarnation_since or found.created_at))
    return SecondIncarnation(
        f"Launch agent {found.id!r} is another process, on host {found.hostname!r} since {since} UTC, heard"
        f" {found.silent_seconds:.0f} s ago. Two agents use copies of one state directory: end one of them, or give"
        " one an empty state directory. When the other has left or fallen silent, this one is taken."
    )


def record_heartbeat(connection: Connection, agent_id: str, status: str | None = None) -> None:
    """Record a heartbeat, and the status if one came with it, unless the agent has left."""
    values = {"of_id": agent_id, "now": time.time()}
    if status is None:
        connection.execute(_HEARD, values)
    else:
        connection.execute(_HEARD_WITH_STATUS, values | {"new_status": status})


def resume(
    connection: Connection, agent_id: str, identity: AgentIdentity, hostname: str | None, version: str | None
) -> None:
    """Make the process this agent, also where the agent had left. None leaves host name and version as they are."""
    connection.execute(_RESUMED, {"of_id": agent_id, "now": time.time(), "new_incarnation": identity.incarnation})
    named = {"machine_id": identity.machine_id, "hostname": hostname, "version": version}
    changes = {name: value for name, value in named.items() if value is not None}
    if changes:
        connection.execute(_UPDATE, {"of_id": agent_id, **changes})


def note_gpus(connection: Connection, found: LaunchAgent, told: AgentGpus) -> bool:
    """Note what the agent tells of its GPUs. Returns whether that is the newest that it has told."""
    if told.version == found.gpus_version:
        return True
    text = msgspec.json.encode(told.summary).decode()
    values = {"of_id": found.id, "new_version": told.version, "new_gpus": text}
    return connection.execute(_REPORT_GPUS, values).rowcount > 0


def leave(connection: Connection, agent_id: str) -> None:
    """Note that the agent is no more, because another one has taken its place."""
    connection.execute(_UPDATE, {"of_id": agent_id, "status": KILLED})


def stop_polling(connection: Connection, viewer: Viewer, agent_id: str) -> None:
    """Ask the agent to stop polling and leave."""
    connection.execute(_UPDATE, {"of_id": agent_id, "stop_polling": True, "stop_polling_by": viewer.name})


def take_back_stop(connection: Connection, agent_id: str) -> None:
    """Take back that the agent was asked to leave: it polls on, if it has not left yet."""
    connection.execute(_UPDATE, {"of_id": agent_id, "stop_polling": False, "stop_polling_by": None})
