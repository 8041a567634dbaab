"""Sweeps and their agents: finding, creating, changing them. `runs` hands out their runs."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from launchd.server.errors import NotFound
from launchd.server.models import Sweep, SweepAgent, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.database import insert_row
from launchd.server.store.ids import new_id, parse_names
from launchd.server.store.sweeps.states import PENDING, RUNNING
from launchd.server.store.tables import entities, projects, sweep_agents, sweeps

_SWEEPS = (
    select(sweeps, projects.c.name.label("project_name"), entities.c.name.label("entity_name"))
    .join(projects, projects.c.id == sweeps.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
)
_BY_NAME = _SWEEPS.where(sweeps.c.project_id == bindparam("of_project"), sweeps.c.name == bindparam("of_name"))
_BY_NUMBER = _SWEEPS.where(sweeps.c.id == bindparam("of_id"))
_OF_PROJECT = _SWEEPS.where(sweeps.c.project_id == bindparam("of_project")).order_by(sweeps.c.id.desc())
_UPDATE = update(sweeps).where(sweeps.c.id == bindparam("of_id"))
_AGENT = (
    select(sweep_agents)
    .join(sweeps, sweeps.c.id == sweep_agents.c.sweep_id)
    .join(projects, projects.c.id == sweeps.c.project_id)
    .where(sweep_agents.c.id == bindparam("of_id"), may_use_project(projects.c.entity_id, projects.c.id))
)


def find_sweep(connection: Connection, project_id: int, name: str) -> Sweep | None:
    """The sweep of a project by its name, which W&B also calls the sweep id."""
    row = connection.execute(_BY_NAME, {"of_project": project_id, "of_name": name}).first()
    return Sweep(**row._mapping) if row else None


def sweep_by_number(connection: Connection, sweep_id: int) -> Sweep:
    """The sweep, which must exist."""
    return Sweep(**connection.execute(_BY_NUMBER, {"of_id": sweep_id}).one()._mapping)


def require_sweep(
    connection: Connection, viewer: Viewer, entity_name: str | None, project_name: str | None, name: str
) -> Sweep:
    """The sweep by its names.

    Raises:
        NotFound: no such sweep that the viewer may use.
    """
    project = principals.project_of(connection, viewer, entity_name, project_name or "")
    found = find_sweep(connection, project.id, name) if project else None
    if found is None:
        raise NotFound(f"There is no sweep {name[:100]!r} in project {(project_name or '')[:100]!r} that you may use.")
    return found


def require_by_storage_id(connection: Connection, viewer: Viewer, storage_id: str) -> Sweep:
    """The sweep by the id that clients get.

    Raises:
        Refused: not the id of a sweep.
        NotFound: no such sweep that the viewer may use.
    """
    name, project_name, entity_name = parse_names(storage_id, "Sweep")
    return require_sweep(connection, viewer, entity_name, project_name, name)


def sweeps_of(connection: Connection, project_id: int, offset: int, limit: int) -> list[Sweep]:
    """Sweeps of a project, the newest first."""
    rows = connection.execute(_OF_PROJECT.offset(offset).limit(limit), {"of_project": project_id})
    return [Sweep(**row._mapping) for row in rows]


def count(connection: Connection, project_id: int) -> int:
    """How many sweeps a project has."""
    wanted = select(func.count()).select_from(sweeps).where(sweeps.c.project_id == project_id)
    return connection.execute(wanted).scalar_one()


def insert_sweep(connection: Connection, project_id: int, name: str, values: Mapping[str, Any]) -> Sweep:
    """Add a sweep."""
    now = time.time()
    row = {"state": PENDING, "launched": False, **values, "project_id": project_id, "name": name}
    row |= {"created_at": now, "updated_at": now, "grid_place": 0}
    return sweep_by_number(connection, insert_row(connection, insert(sweeps), row))


def change(connection: Connection, sweep_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a sweep."""
    connection.execute(_UPDATE, {"of_id": sweep_id, "updated_at": time.time(), **values})


def add_agent(connection: Connection, sweep: Sweep, host: str) -> str:
    """Register an agent; the first one sets the sweep running. Returns the agent's id."""
    agent_id, now = new_id(), time.time()
    row = {"id": agent_id, "sweep_id": sweep.id, "host": host, "created_at": now, "heartbeat_at": now, "offers": 0}
    connection.execute(insert(sweep_agents), row)
    if sweep.state == PENDING:
        change(connection, sweep.id, {"state": RUNNING})
    return agent_id


def require_agent(connection: Connection, viewer: Viewer, agent_id: str) -> SweepAgent:
    """The agent, if the viewer may use its sweep.

    Raises:
        NotFound: no such agent.
    """
    row = connection.execute(_AGENT, {"of_id": agent_id, **binds(viewer)}).first()
    if row is None:
        raise NotFound(f"There is no sweep agent with the id {agent_id[:100]!r} that you may use.")
    return SweepAgent(**row._mapping)


def change_agent(connection: Connection, agent_id: str, values: Mapping[str, Any]) -> None:
    """Set columns of an agent."""
    connection.execute(update(sweep_agents).where(sweep_agents.c.id == agent_id).values(**values))


def agents_of(connection: Connection, sweep_id: int) -> Sequence[SweepAgent]:
    """Agents of a sweep, in order of registration."""
    wanted = select(sweep_agents).where(sweep_agents.c.sweep_id == sweep_id).order_by(sweep_agents.c.created_at)
    return [SweepAgent(**row._mapping) for row in connection.execute(wanted)]
