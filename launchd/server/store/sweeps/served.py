"""The one change of a sweep that the key of an agent makes: cancelling it, as W&B does after its scheduler failed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, exists, null, select

from launchd.server.errors import NotAllowed
from launchd.server.models import Sweep, Viewer
from launchd.server.store.accounts.authorization import binds
from launchd.server.store.ids import parse_names
from launchd.server.store.launch.served import is_served
from launchd.server.store.sweeps import sweeps
from launchd.server.store.sweeps.states import CANCELED
from launchd.server.store.tables import entities, projects, run_queue_items, runs
from launchd.server.store.tables import sweeps as sweeps_table

_FIELDS = {"id", "entity_name", "project_name", "state"}

# Its scheduler logs to the run that has the sweep's name.
_HAS_SCHEDULER = exists().where(
    runs.c.project_id == sweeps_table.c.project_id,
    runs.c.name == sweeps_table.c.name,
    run_queue_items.c.run_id == runs.c.id,
    run_queue_items.c.is_scheduler,
    is_served(run_queue_items.c.queue_id, null()),
)
_SERVED = (
    select(sweeps_table.c.id)
    .join(projects, projects.c.id == sweeps_table.c.project_id)
    .join(entities, entities.c.id == projects.c.entity_id)
    .where(
        sweeps_table.c.name == bindparam("of_name"),
        projects.c.folded_name == bindparam("of_project"),
        entities.c.name == bindparam("of_entity"),
        _HAS_SCHEDULER,
    )
)


def require_served(connection: Connection, viewer: Viewer, given: Mapping[str, Any]) -> Sweep:
    """The sweep that the viewer, with the key of an agent, cancels by this input: they serve its scheduler's queue.

    Raises:
        Refused: not the id of a sweep.
        NotAllowed: another change, or another sweep.
    """
    name, project, entity = parse_names(given.get("id") or "", "Sweep")
    names = {"of_name": name, "of_project": project.lower(), "of_entity": entity}
    found = connection.execute(_SERVED, {**names, **binds(viewer)}).scalar()
    is_cancel = given.get("state") == CANCELED and not {key for key in given if given[key] is not None} - _FIELDS
    if found is None or not is_cancel:
        raise NotAllowed("This API key is an agent's: of sweeps it cancels those alone whose scheduler it was to run.")
    return sweeps.sweep_by_number(connection, found)
