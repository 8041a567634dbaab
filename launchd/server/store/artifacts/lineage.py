"""Lineage: which run made which version of an artifact, and which used it.

A run may use a version of another entity; viewers who may not use that entity see nothing of it on either side.
"""

import time
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from launchd.server.models import Artifact, Run, Viewer
from launchd.server.store.accounts.authorization import binds, may_use_project
from launchd.server.store.artifacts.artifacts import COMMITTED, SELECTED, from_row
from launchd.server.store.runs import runs
from launchd.server.store.tables import artifact_runs, artifacts, projects
from launchd.server.store.tables import runs as run_rows
from launchd.server.store.upserts import insert_missing

OUTPUT, INPUT = "output", "input"
"""Relations: the run logged the version, or used it."""

_KEYS = ("run_id", "artifact_number", "relation")

column = artifact_runs.c
_OF_ARTIFACT = (
    runs.COLUMNS.join(artifact_runs, column.run_id == run_rows.c.id)
    .where(
        column.artifact_number == bindparam("of_number"),
        column.relation == bindparam("of_relation"),
        may_use_project(projects.c.entity_id, projects.c.id),
    )
    .order_by(column.noted_at, column.run_id)
    .limit(bindparam("most"))
)
_OF_RUN = SELECTED.join(artifact_runs, column.artifact_number == artifacts.c.number).where(
    column.run_id == bindparam("of_run"),
    column.relation == bindparam("of_relation"),
    artifacts.c.state.in_(bindparam("states", expanding=True)),
    may_use_project(projects.c.entity_id, projects.c.id),
)
_PAGE = _OF_RUN.where(artifacts.c.number > bindparam("after")).order_by(artifacts.c.number).limit(bindparam("most"))


def record(connection: Connection, run: Run, artifact: Artifact, relation: str) -> None:
    """Record the relation of a run and a version. Idempotent."""
    row = {"run_id": run.id, "artifact_number": artifact.number, "relation": relation, "noted_at": time.time()}
    insert_missing(connection, artifact_runs, [row], keys=_KEYS)


def runs_of(connection: Connection, viewer: Viewer, artifact: Artifact, relation: str, most: int) -> list[Run]:
    """Runs in this relation to a version, in order of recording."""
    which = {"of_number": artifact.number, "of_relation": relation, "most": most, **binds(viewer)}
    return [Run(**row._mapping) for row in connection.execute(_OF_ARTIFACT, which)]


def artifacts_of(
    connection: Connection,
    viewer: Viewer,
    run: Run,
    relation: str,
    after: int,
    limit: int,
    *,
    states: Sequence[str] = (COMMITTED,),
) -> list[Artifact]:
    """Versions in this relation to a run, after the one with the number `after`; by default those that can be read."""
    which = {"of_run": run.id, "of_relation": relation, "after": after, "most": limit, "states": states}
    which |= binds(viewer)
    return [from_row(row) for row in connection.execute(_PAGE, which)]


def count_artifacts(connection: Connection, viewer: Viewer, run: Run, relation: str) -> int:
    """How many versions that can be read are in this relation to a run."""
    wanted = select(func.count()).select_from(_OF_RUN.subquery())
    which = {"of_run": run.id, "of_relation": relation, "states": (COMMITTED,), **binds(viewer)}
    return connection.execute(wanted, which).scalar_one()
