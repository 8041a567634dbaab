"""Which ended runs nothing needs any more, and their removal, with that asked again in the same transaction."""

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, delete, func, or_, select, union_all
from sqlalchemy.sql.selectable import Exists

from launchd.server.runs.retention import EndedRun
from launchd.server.store.artifacts.lineage import INPUT, OUTPUT
from launchd.server.store.launch import states as item_states
from launchd.server.store.launch.waiting import IS_LEASED, IS_WAITING
from launchd.server.store.runs.changes import delete_batch
from launchd.server.store.runs.states import ALIVE
from launchd.server.store.sweeps import states as sweep_states
from launchd.server.store.tables import (
    artifact_aliases,
    artifact_links,
    artifact_runs,
    entities,
    projects,
    run_files,
    run_queue_items,
    runs,
    sweeps,
)

_item = run_queue_items.c
_PROJECTS = select(projects.c.id, entities.c.name, projects.c.name).join(
    entities, entities.c.id == projects.c.entity_id
)

_HAS_ENDED = runs.c.state.not_in(ALIVE)
_ITEM_IS_OVER = _item.state.in_(sorted(item_states.ENDED))
_ITEM = select(_item.number).where(_item.run_id == runs.c.id, ~_ITEM_IS_OVER).exists()
_SWEEP = select(sweeps.c.id).where(sweeps.c.id == runs.c.sweep_id, sweeps.c.state.not_in(sweep_states.ENDED)).exists()


def _made(condition: ColumnElement[bool] | Exists) -> Exists:
    """Whether the run made a version of which this holds."""
    return (
        select(artifact_runs.c.run_id)
        .where(artifact_runs.c.run_id == runs.c.id, artifact_runs.c.relation == OUTPUT, condition)
        .exists()
    )


def _used_by_the_living() -> Exists:
    """Whether a run that has not ended uses the version."""
    use, user = artifact_runs.alias(), runs.alias()
    return (
        select(use.c.run_id)
        .join(user, user.c.id == use.c.run_id)
        .where(
            use.c.artifact_number == artifact_runs.c.artifact_number,
            use.c.relation == INPUT,
            user.c.state.in_(ALIVE),
        )
        .exists()
    )


_OF_VERSION = (
    select(artifact_aliases.c.id).where(artifact_aliases.c.artifact_number == artifact_runs.c.artifact_number).exists(),
    select(artifact_links.c.id).where(artifact_links.c.artifact_number == artifact_runs.c.artifact_number).exists(),
    _used_by_the_living(),
)
_IS_NEEDED = or_(_ITEM, _SWEEP, _made(or_(*_OF_VERSION)))

_ENDED_AT = func.coalesce(
    select(func.max(_item.finished_at)).where(_item.run_id == runs.c.id).scalar_subquery(), runs.c.created_at
)
_HEARD_AT = func.coalesce(runs.c.heartbeat_at, runs.c.created_at)
_SIZE = select(func.coalesce(func.sum(run_files.c.size), 0)).where(run_files.c.run_id == runs.c.id).scalar_subquery()


def _newest_first() -> Select[tuple[int, str, float, int, bool]]:
    ended_at = case((_ENDED_AT > _HEARD_AT, _ENDED_AT), else_=_HEARD_AT).label("ended_at")
    return (
        select(runs.c.id, runs.c.name, ended_at, _SIZE.label("size"), _IS_NEEDED.label("is_needed"))
        .where(runs.c.project_id == bindparam("of_project"), _HAS_ENDED)
        .order_by(ended_at.desc(), runs.c.id.desc())
    )


_ENDED = _newest_first()
_MAY_GO = select(runs.c.id).where(runs.c.id == bindparam("of_id"), and_(_HAS_ENDED, ~_IS_NEEDED))
#: Run specs of items that no agent runs yet, and that name a run, which they may go on with. Each state apart, for each
#: has an index of its own: removals ask this while nothing else is written.
_NAMED = union_all(
    *(select(_item.run_spec).where(is_so, _item.run_spec.like('%"run_id"%')) for is_so in (IS_WAITING, IS_LEASED))
)


class _NamesRun(msgspec.Struct):
    run_id: str | None = None


_spec_decoder = msgspec.json.Decoder(_NamesRun)


def projects_of_all(connection: Connection) -> list[tuple[int, str]]:
    """Number and name, `entity/project`, of each project."""
    return [(number, f"{entity}/{project}") for number, entity, project in connection.execute(_PROJECTS)]


def ended_runs(connection: Connection, project_id: int) -> list[EndedRun]:
    """The ended runs of a project, newest first."""
    named = _runs_of_waiting_items(connection)
    return [
        EndedRun(row.id, row.name, row.ended_at, int(row.size), bool(row.is_needed) or row.name in named)
        for row in connection.execute(_ENDED, {"of_project": project_id})
    ]


def _runs_of_waiting_items(connection: Connection) -> set[str]:
    """Names of runs that waiting items go on with, in any project."""
    return {name for spec in connection.execute(_NAMED).scalars() if (name := _run_of(spec)) is not None}


def _run_of(spec: str) -> str | None:
    try:
        return _spec_decoder.decode(spec).run_id
    except msgspec.DecodeError:
        return None


def remove_batch(connection: Connection, run: EndedRun, *, files_only: bool) -> bool:
    """Remove a batch of what the run has, if it may still go. True: nothing is left to do."""
    if connection.execute(_MAY_GO, {"of_id": run.id}).first() is None or run.name in _runs_of_waiting_items(connection):
        return True
    if files_only:
        connection.execute(delete(run_files).where(run_files.c.run_id == run.id))
        return True
    return delete_batch(connection, run.id)
