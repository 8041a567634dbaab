"""Run queues and their resource configurations; `items` and `leases` change the items in them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import NotAllowed, NotFound, Refused
from launchd.server.models import EntityRecord, ProjectRecord, Queue, ResourceConfig, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.accounts.authorization import binds, may_push, may_serve
from launchd.server.store.database import insert_row
from launchd.server.store.ids import new_id
from launchd.server.store.launch.states import DEFAULT_PRIORITY, PENDING
from launchd.server.store.launch.waiting import IS_HELD, IS_WAITING
from launchd.server.store.tables import entities, projects, resource_configs, run_queue_items, run_queues

DISABLED, BY_PRIORITY = "DISABLED", "V0"
_LONGEST_NAME = 64
_NOT_BY_JOBS = (
    "This API key is a job's, and this queue takes no items from jobs: only the scheduler of a sweep may push to the"
    " queue that it came from. `launchd queue jobs NAME --allow` opens a queue to jobs."
)

_QUEUES = (
    select(
        run_queues.c.id,
        run_queues.c.project_id,
        projects.c.name.label("project_name"),
        projects.c.entity_id,
        entities.c.name.label("entity_name"),
        run_queues.c.name,
        run_queues.c.created_by,
        run_queues.c.access,
        run_queues.c.prioritization_mode,
        run_queues.c.resource_config_id,
        run_queues.c.external_links,
        run_queues.c.jobs_may_push,
        run_queues.c.paused_at,
        run_queues.c.paused_by,
        run_queues.c.created_at,
    )
    .join(projects, projects.c.id == run_queues.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .where(run_queues.c.deleted_at.is_(None))
)
_OF_PROJECT = _QUEUES.where(run_queues.c.project_id == bindparam("of_project"))
_ALL_OF_PROJECT = _OF_PROJECT.order_by(run_queues.c.created_at, run_queues.c.name)
_ONE_OF_PROJECT = _OF_PROJECT.where(run_queues.c.name == bindparam("of_name"))
_NAMED = _QUEUES.where(
    run_queues.c.name == bindparam("of_name"),
    projects.c.folded_name == bindparam("of_project"),
    entities.c.name == bindparam("of_entity"),
)
_BY_NAMES = _NAMED.where(may_serve(entities.c.id))
_BY_ID = _QUEUES.where(run_queues.c.id == bindparam("of_id"), may_serve(projects.c.entity_id))
_PUSHED_BY_NAMES = _NAMED.where(may_push(entities.c.id))
_PUSHED_BY_ID = _QUEUES.where(run_queues.c.id == bindparam("of_id"), may_push(projects.c.entity_id))
_CONFIG = select(resource_configs).where(
    resource_configs.c.id == bindparam("of_id"), resource_configs.c.entity_id == bindparam("of_entity")
)
_PAUSE = select(run_queues.c.paused_at, run_queues.c.paused_by).where(
    run_queues.c.id == bindparam("of_id"), run_queues.c.paused_at.is_not(None)
)
_WAITING = select(func.count()).where(run_queue_items.c.queue_id == bindparam("of_id"), IS_WAITING)
_HELD = select(func.count()).where(run_queue_items.c.queue_id == bindparam("of_id"), IS_HELD)


def _queue(row: Any) -> Queue:
    fields = dict(row._mapping)
    links = fields["external_links"]
    fields["external_links"] = msgspec.Raw(links) if links is not None else None
    return Queue(**fields)


def queues_of(connection: Connection, project_id: int) -> list[Queue]:
    """Queues of a project, the oldest first."""
    return [_queue(row) for row in connection.execute(_ALL_OF_PROJECT, {"of_project": project_id})]


def find_queue(connection: Connection, project_id: int, name: str) -> Queue | None:
    """The queue of a project by its name."""
    row = connection.execute(_ONE_OF_PROJECT, {"of_project": project_id, "of_name": name}).first()
    return _queue(row) if row else None


def require_queue(connection: Connection, viewer: Viewer, entity_name: str, project_name: str, name: str) -> Queue:
    """The queue by its names.

    Raises:
        NotFound: entity, project or queue is missing or not usable by the viewer.
    """
    row = connection.execute(_BY_NAMES, _names(entity_name, project_name, name) | binds(viewer)).first()
    if row is None:
        entity = principals.require_served(connection, viewer, entity_name)
        raise NotFound(f"Entity {entity.name!r} has no queue {name!r} in project {project_name!r}.")
    return _queue(row)


def require_pushed(connection: Connection, viewer: Viewer, entity_name: str, project_name: str, name: str) -> Queue:
    """As `require_queue`, for a viewer who pushes to it.

    Raises:
        NotFound: as there.
        NotAllowed: the viewer is a job, and the queue takes none from jobs.
    """
    row = connection.execute(_PUSHED_BY_NAMES, _names(entity_name, project_name, name) | binds(viewer)).first()
    if row is not None:
        return _queue(row)
    require_queue(connection, viewer.as_submitter(), entity_name, project_name, name)
    raise NotAllowed(_NOT_BY_JOBS)


def require_pushed_by_id(connection: Connection, viewer: Viewer, queue_id: str) -> Queue:
    """As `require_queue_by_id`, for a viewer who pushes to it.

    Raises:
        NotFound: as there.
        NotAllowed: the viewer is a job, and the queue takes none from jobs.
    """
    row = connection.execute(_PUSHED_BY_ID, {"of_id": queue_id, **binds(viewer)}).first()
    if row is not None:
        return _queue(row)
    require_queue_by_id(connection, viewer.as_submitter(), queue_id)
    raise NotAllowed(_NOT_BY_JOBS)


def _names(entity_name: str, project_name: str, name: str) -> dict[str, Any]:
    return {"of_entity": entity_name, "of_project": project_name.lower(), "of_name": name}


def require_queue_by_id(connection: Connection, viewer: Viewer, queue_id: str) -> Queue:
    """The queue by its id.

    Raises:
        NotFound: no such queue that the viewer may use.
    """
    row = connection.execute(_BY_ID, {"of_id": queue_id, **binds(viewer)}).first()
    if row is None:
        raise NotFound(f"There is no queue with the id {queue_id[:100]!r} that you may use.")
    return _queue(row)


def create_queue(
    connection: Connection, viewer: Viewer, project: ProjectRecord, name: str, options: Mapping[str, Any]
) -> str:
    """Create a queue; `options` are further columns. Returns its id.

    Raises:
        Refused: the name is unfit or taken.
        NotFound: the resource configuration is missing, or belongs to another entity.
    """
    _check_new_name(connection, project, name)
    config_id = options.get("resource_config_id")
    if config_id is not None and find_config(connection, project.entity_id, config_id) is None:
        raise NotFound(f"Entity {project.entity_name!r} has no resource configuration {config_id}.")
    queue_id = new_id()
    row = {
        "id": queue_id,
        "project_id": project.id,
        "name": name,
        "created_by": viewer.name,
        "access": "PROJECT",
        "prioritization_mode": DISABLED,
        "created_at": time.time(),
    }
    connection.execute(insert(run_queues), row | dict(options))
    return queue_id


def _check_new_name(connection: Connection, project: ProjectRecord, name: str) -> None:
    principals.check_name("queue", name, longest=_LONGEST_NAME, is_argument=True)
    if find_queue(connection, project.id, name) is not None:
        raise Refused(f"Entity {project.entity_name!r} already has a queue {name!r}.")


def upsert_queue(
    connection: Connection, viewer: Viewer, project: ProjectRecord, name: str, options: Mapping[str, Any]
) -> str:
    """Create the queue or replace its configuration, links and mode. Returns its id."""
    queue = find_queue(connection, project.id, name)
    if queue is None:
        return create_queue(connection, viewer, project, name, options)
    connection.execute(update(run_queues).where(run_queues.c.id == queue.id), dict(options))
    if options["prioritization_mode"] == DISABLED:
        _forget_priorities(connection, queue.id)
    return queue.id


def _forget_priorities(connection: Connection, queue_id: str) -> None:
    """Claims always order by priority, so a queue without priorities needs equal ones."""
    waiting = run_queue_items.c.queue_id == queue_id, run_queue_items.c.state == PENDING
    connection.execute(update(run_queue_items).where(*waiting).values(priority=DEFAULT_PRIORITY))


def set_jobs_may_push(connection: Connection, queue_id: str, *, allowed: bool) -> None:
    """Set whether jobs may push to a queue with their own keys."""
    connection.execute(update(run_queues).where(run_queues.c.id == queue_id).values(jobs_may_push=allowed))


def pause(connection: Connection, viewer: Viewer, queue_id: str) -> None:
    """Have a queue give out nothing; one that is paused stays as it was."""
    is_running = run_queues.c.id == queue_id, run_queues.c.paused_at.is_(None)
    connection.execute(update(run_queues).where(*is_running).values(paused_at=time.time(), paused_by=viewer.name))


def pause_of(connection: Connection, queue_id: str) -> tuple[float, str] | None:
    """Since when a queue gives out nothing, and who paused it. None: it gives out."""
    row = connection.execute(_PAUSE, {"of_id": queue_id}).first()
    return None if row is None else (row.paused_at, row.paused_by)


def resume(connection: Connection, queue_id: str) -> None:
    """Have a paused queue give out items again."""
    connection.execute(update(run_queues).where(run_queues.c.id == queue_id).values(paused_at=None, paused_by=None))


def existing(connection: Connection, queue_ids: Sequence[str]) -> list[str]:
    """Return those of the ids that are not of queues that were deleted before."""
    wanted = select(run_queues.c.id).where(run_queues.c.id.in_(queue_ids), run_queues.c.deleted_at.is_not(None))
    deleted = set(connection.execute(wanted).scalars())
    return [queue_id for queue_id in queue_ids if queue_id not in deleted]


def delete_queue(connection: Connection, queue_id: str) -> None:
    """Delete a queue with its waiting items; those held by agents run to their end."""
    waiting = run_queue_items.c.queue_id == queue_id, run_queue_items.c.state == PENDING
    connection.execute(delete(run_queue_items).where(*waiting))
    connection.execute(update(run_queues).where(run_queues.c.id == queue_id).values(deleted_at=time.time()))


def create_config(
    connection: Connection, entity: EntityRecord, resource: str, config: Mapping[str, Any], variables: Mapping[str, Any]
) -> int:
    """Create a resource configuration. Returns its id."""
    row = {
        "entity_id": entity.id,
        "resource": resource,
        "config": msgspec.json.encode(config).decode(),
        "template_variables": msgspec.json.encode(variables).decode(),
    }
    return insert_row(connection, insert(resource_configs), row)


def find_config(connection: Connection, entity_id: int, config_id: int | None) -> ResourceConfig | None:
    """A resource configuration of the entity."""
    if config_id is None:
        return None
    row = connection.execute(_CONFIG, {"of_id": config_id, "of_entity": entity_id}).first()
    if row is None:
        return None
    return ResourceConfig(
        id=row.id,
        resource=row.resource,
        config=msgspec.json.decode(row.config),
        template_variables=msgspec.json.decode(row.template_variables),
    )


def count_waiting(connection: Connection, queue_id: str) -> int:
    """How many items wait."""
    return connection.execute(_WAITING, {"of_id": queue_id}).scalar() or 0


def count_held(connection: Connection, queue_id: str) -> int:
    """How many items agents hold."""
    return connection.execute(_HELD, {"of_id": queue_id}).scalar() or 0
