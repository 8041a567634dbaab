"""Runs, as far as a queue needs them: a name, a state, a wish that they stop. Owns their rows."""

import time

from sqlalchemy import Connection, insert, select, update

from launchd.server.store.database import insert_row
from launchd.server.store.identities import ensure_project
from launchd.server.store.records import EntityRecord, Run
from launchd.server.store.tables import entities, projects, runs

PENDING = "pending"


def find_run(connection: Connection, project_id: int, name: str) -> Run | None:
    row = connection.execute(
        select(
            runs.c.id,
            runs.c.project_id,
            projects.c.name.label("project_name"),
            entities.c.name.label("entity_name"),
            runs.c.name,
            runs.c.display_name,
            runs.c.state,
            runs.c.stopped,
            runs.c.created_at,
        )
        .join(projects, projects.c.id == runs.c.project_id)
        .join(entities, entities.c.id == projects.c.entity_id)
        .where(runs.c.project_id == project_id, runs.c.name == name)
    ).first()
    return Run(**row._mapping) if row else None


def ensure_run(
    connection: Connection, entity: EntityRecord, project_name: str, name: str, display_name: str | None
) -> int:
    """Id of the run; where it is missing, it is made in state pending."""
    project, _ = ensure_project(connection, entity, project_name)
    found = find_run(connection, project.id, name)
    if found is not None:
        return found.id
    made = insert(runs).values(
        project_id=project.id,
        name=name,
        display_name=display_name,
        state=PENDING,
        stopped=False,
        created_at=time.time(),
    )
    return insert_row(connection, made)


def set_state(connection: Connection, run_id: int, state: str) -> None:
    connection.execute(update(runs).where(runs.c.id == run_id).values(state=state))


def ask_to_stop(connection: Connection, run_id: int) -> None:
    connection.execute(update(runs).where(runs.c.id == run_id).values(stopped=True))
