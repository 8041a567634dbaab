"""Runs: finding, creating, changing them. `ends` ends them, `lines` holds what they log."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from launchd.server.errors import NotFound
from launchd.server.models import Run, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.clock import NOW
from launchd.server.store.database import insert_row
from launchd.server.store.ids import parse_names
from launchd.server.store.runs.states import NOT_ENDED, PENDING, RUNNING
from launchd.server.store.tables import entities, projects, runs, sweeps

COLUMNS = (
    select(
        *(column for column in runs.c if column.name not in ("program", "repo", "heard_at")),
        projects.c.name.label("project_name"),
        entities.c.name.label("entity_name"),
        sweeps.c.name.label("sweep_name"),
    )
    .join(projects, projects.c.id == runs.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .join(sweeps, sweeps.c.id == runs.c.sweep_id, isouter=True)
)
"""The columns of a `Run`."""

_BY_NAME = COLUMNS.where(runs.c.project_id == bindparam("of_project"), runs.c.name == bindparam("of_name"))
_BY_ID = COLUMNS.where(runs.c.id == bindparam("of_id"))
_INSERT = insert(runs).values(heard_at=NOW)
_UPDATE = update(runs).where(runs.c.id == bindparam("of_id"))
_HEARD = _UPDATE.values(heard_at=NOW, heartbeat_at=bindparam("now"))
_STARTED = _UPDATE.where(runs.c.state == PENDING)


def find_run(connection: Connection, project_id: int, name: str) -> Run | None:
    """The run of a project by its name, which W&B also calls the run id."""
    row = connection.execute(_BY_NAME, {"of_project": project_id, "of_name": name}).first()
    return Run(**row._mapping) if row else None


def run_by_number(connection: Connection, run_id: int) -> Run:
    """The run, which must exist."""
    return Run(**connection.execute(_BY_ID, {"of_id": run_id}).one()._mapping)


def require_run(connection: Connection, viewer: Viewer, entity_name: str | None, project_name: str, name: str) -> Run:
    """The run by its names.

    Raises:
        NotFound: no such run that the viewer may use.
    """
    entity = principals.require_entity(connection, viewer, entity_name, project=project_name, run=name)
    project = principals.find_project(connection, entity, project_name)
    found = find_run(connection, project.id, name) if project else None
    if found is None:
        raise NotFound(f"Project {project_name[:100]!r} of {entity.name!r} has no run {name[:100]!r}.")
    return found


def require_by_storage_id(connection: Connection, viewer: Viewer, storage_id: str) -> Run:
    """The run by the id that clients receive and can compute.

    Raises:
        Refused: not the id of a run.
        NotFound: no such run that the viewer may use.
    """
    name, project_name, entity_name = parse_names(storage_id, "Run")
    return require_run(connection, viewer, entity_name, project_name, name)


def find_by_storage_id(connection: Connection, viewer: Viewer, storage_id: str) -> Run | None:
    """As `require_by_storage_id`; None where the project that the viewer may use has no such run, or none any more."""
    name, project_name, entity_name = parse_names(storage_id, "Run")
    if principals.project_of(connection, viewer, entity_name, project_name) is None:
        return require_run(connection, viewer, entity_name, project_name, name)
    entity = principals.require_entity(connection, viewer, entity_name, project=project_name, run=name)
    project = principals.find_project(connection, entity, project_name)
    return find_run(connection, project.id, name) if project else None


def insert_run(connection: Connection, project_id: int, name: str, values: Mapping[str, Any]) -> int:
    """Add a run that does not exist. Returns its number."""
    row = {"stopped": False, "created_at": time.time(), **values, "project_id": project_id, "name": name}
    return insert_row(connection, _INSERT, row)


def ensure_run(
    connection: Connection, project_id: int, name: str, display_name: str | None, author_id: int | None
) -> int:
    """The run that an item is about to start, created if missing; pending again if it has ended. Returns its number.

    `author_id` is the author of a new run.
    """
    found = find_run(connection, project_id, name)
    if found is None:
        values = {"display_name": display_name, "author_id": author_id, "state": PENDING}
        return insert_run(connection, project_id, name, values)
    if found.state not in NOT_ENDED:
        change(connection, found.id, {"state": PENDING, "stopped": False, "exit_code": None})
    return found.id


def change(connection: Connection, run_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a run."""
    if values:
        connection.execute(_UPDATE, {"of_id": run_id, **values})


def hear(connection: Connection, run_id: int) -> None:
    """Note a heartbeat of the run's client."""
    connection.execute(_HEARD, {"of_id": run_id, "now": time.time()})


def mark_started(connection: Connection, run_id: int) -> None:
    """Set a pending run to running, because its agent reports a process; other states stay."""
    connection.execute(_STARTED, {"of_id": run_id, "state": RUNNING})


def request_stop(connection: Connection, run_id: int) -> None:
    """Request a stop of the run; W&B's clients poll for it."""
    change(connection, run_id, {"stopped": True})


def count(connection: Connection, project_id: int) -> int:
    """How many runs a project has."""
    wanted = select(func.count()).select_from(runs).where(runs.c.project_id == project_id)
    return connection.execute(wanted).scalar_one()
