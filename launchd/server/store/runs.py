"""Runs, as far as a queue needs them: a name, a state, a wish that they stop. Owns their rows."""

import time

from sqlalchemy import Connection, bindparam, insert, select, update

from launchd.server.store.database import insert_row
from launchd.server.store.records import Run
from launchd.server.store.tables import entities, projects, runs

PENDING = "pending"

_RUN = (
    select(
        runs.c.id,
        runs.c.project_id,
        projects.c.name.label("project_name"),
        entities.c.name.label("entity_name"),
        runs.c.name,
        runs.c.display_name,
        runs.c.author_id,
        runs.c.state,
        runs.c.stopped,
        runs.c.created_at,
    )
    .join(projects, projects.c.id == runs.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .where(runs.c.project_id == bindparam("of_project"), runs.c.name == bindparam("of_name"))
)
_INSERT = insert(runs)
_UPDATE = update(runs).where(runs.c.id == bindparam("of_id"))


def find_run(connection: Connection, project_id: int, name: str) -> Run | None:
    """The run of a project by its name, which W&B also calls the run id."""
    row = connection.execute(_RUN, {"of_project": project_id, "of_name": name}).first()
    return Run(**row._mapping) if row else None


def ensure_run(
    connection: Connection, project_id: int, name: str, display_name: str | None, author_id: int | None
) -> int:
    """Number of the run; where it is missing, it is made in state pending. `author_id` is its user from then on."""
    found = find_run(connection, project_id, name)
    if found is not None:
        return found.id
    row = {
        "project_id": project_id,
        "name": name,
        "display_name": display_name,
        "author_id": author_id,
        "state": PENDING,
        "stopped": False,
        "created_at": time.time(),
    }
    return insert_row(connection, _INSERT, row)


def set_state(connection: Connection, run_id: int, state: str) -> None:
    """Set the state of a run that exists."""
    connection.execute(_UPDATE, {"of_id": run_id, "state": state})


def ask_to_stop(connection: Connection, run_id: int) -> None:
    """Note that the run shall stop; W&B's clients look."""
    connection.execute(_UPDATE, {"of_id": run_id, "stopped": True})
