"""The authorization rule, as a SQL condition in every query of an entity's objects.

A viewer sees the objects of entities in which they have a role; in a request that changes something, only where that
role allows it: `Viewer.least_role` is the role needed. The rule has no exceptions, not even for an administrator of the
server.

A key may be for a part of that alone (`Scope`). It reads as its owner, and changes only what one of these conditions
names: an agent's serves queues and logs the agent's own run, a job's writes in the project of its item's run, until
that item has ended.
"""

import time
from typing import Any

from sqlalchemy import ColumnCollection, ColumnElement, Float, Integer, and_, bindparam, exists, or_, select

from launchd.server.models import MODEL_REGISTRY, Role, Scope, Viewer
from launchd.server.store.launch.states import ENDED
from launchd.server.store.tables import (
    launch_agents,
    memberships,
    projects,
    run_queue_items,
    run_queues,
    runs,
)

AFTER_RUN_SECONDS = 3600.0
"""How long a job's key works on after the end of an item that ends with its run: the process may have more of them."""

_SCOPE = bindparam("viewer_scope", type_=Integer)
_ITEM = bindparam("viewer_item", type_=Integer)

# Under names of their own, because the statements around the conditions use the same tables.
_item = run_queue_items.alias("item_of_key").c
_run = runs.alias("run_of_key").c
_project = projects.alias("project_of_key").c
_agent = launch_agents.alias("agent_of_key").c


def is_living(item: ColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Condition on an item: its job's key works. Needs the value of `living_since` as `viewer_since`."""
    since = bindparam("viewer_since", type_=Float)
    return or_(item.state.not_in(sorted(ENDED)), and_(item.follows_run, item.finished_at > since))


_IS_NO_DEAD_JOB = or_(_ITEM == 0, exists().where(_item.number == _ITEM, is_living(_item)))
_PROJECT_OF_JOB = select(_run.project_id).where(_item.number == _ITEM, _run.id == _item.run_id).scalar_subquery()


def living_since() -> float:
    """Since when an item that ends with its run may have ended, in seconds since 1970, for its job's key to work."""
    return time.time() - AFTER_RUN_SECONDS


def may_use(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the viewer may use the entity with this id (a column). Needs the values of `binds`."""
    return and_(_is_member(entity_id), _SCOPE == Scope.ALL)


def may_use_project(entity_id: ColumnElement[Any], project_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the viewer may use the project with this id (a column), which belongs to that entity."""
    is_jobs = and_(_SCOPE == Scope.JOB, project_id == _PROJECT_OF_JOB)
    return and_(_is_member(entity_id), or_(_SCOPE == Scope.ALL, is_jobs))


def may_log(entity_id: ColumnElement[Any], project: ColumnElement[Any], run: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the viewer may log to this project (its folded name), and to the run of this name in it."""
    is_jobs = and_(
        _SCOPE == Scope.JOB,
        exists().where(
            _project.id == _PROJECT_OF_JOB, _project.entity_id == entity_id, _project.folded_name == project
        ),
    )
    is_agents = and_(
        _SCOPE == Scope.AGENT,
        project == MODEL_REGISTRY,
        exists().where(_agent.entity_id == entity_id, _agent.name == run),
    )
    return and_(_is_member(entity_id), or_(_SCOPE == Scope.ALL, is_jobs, is_agents))


def may_serve(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition: the viewer may serve the queues of the entity with this id (a column)."""
    return and_(_is_member(entity_id), _SCOPE.in_((Scope.ALL, Scope.AGENT)))


def may_push(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Condition on a queue of that entity: the viewer may push to it.

    A job may where the queue allows it, and the scheduler of a sweep to its own queue.
    """
    is_schedulers = exists().where(_item.number == _ITEM, _item.queue_id == run_queues.c.id, _item.is_scheduler)
    is_jobs = and_(_SCOPE == Scope.JOB, or_(run_queues.c.jobs_may_push, is_schedulers))
    return and_(_is_member(entity_id), or_(_SCOPE.in_((Scope.ALL, Scope.AGENT)), is_jobs))


def binds(viewer: Viewer) -> dict[str, Any]:
    """Values for the parameters of the conditions."""
    reads = viewer.least_role == Role.VIEWER
    return {
        "viewer_id": viewer.user_id,
        "viewer_role": int(viewer.least_role),
        "viewer_scope": int(Scope.ALL if reads else viewer.scope),
        "viewer_item": viewer.item,
        "viewer_since": living_since(),
    }


def _is_member(entity_id: ColumnElement[Any]) -> ColumnElement[bool]:
    mine = select(memberships.c.entity_id).where(
        memberships.c.user_id == bindparam("viewer_id"), memberships.c.role >= bindparam("viewer_role")
    )
    return and_(entity_id.in_(mine), _IS_NO_DEAD_JOB)
