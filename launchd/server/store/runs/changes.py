"""Changes of runs by others than their client: stop requests, setting the state, deleting."""

import time

from sqlalchemy import Connection, bindparam, delete, func, select, update

from launchd.server.errors import Refused
from launchd.server.models import Run, Scope, Viewer
from launchd.server.store.launch import items
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.runs import states as run_states
from launchd.server.store.tables import run_lines, run_queue_items, sweeps
from launchd.server.store.tables import runs as runs_table

_ALLOWED = {
    run_states.PENDING: (run_states.RUNNING, run_states.FAILED, run_states.CRASHED, run_states.PREEMPTED),
    run_states.FAILED: (run_states.PENDING, run_states.RUNNING),
}
_SET = update(runs_table).where(
    runs_table.c.id == bindparam("of_id"), runs_table.c.state.in_(bindparam("of_states", expanding=True))
)

# The point of a grid that the run had is free again: the sweep looks for free points from the first on.
_GRID_ANEW = (
    update(sweeps)
    .where(sweeps.c.id.in_(select(runs_table.c.sweep_id).where(runs_table.c.id == bindparam("of_run"))))
    .values(grid_place=0)
)

_BATCH = 20_000

line = run_lines.c
_STREAMS = select(line.stream, func.min(line.number)).where(line.run_id == bindparam("of_run")).group_by(line.stream)
_LINES = delete(run_lines).where(
    line.run_id == bindparam("of_run"), line.stream == bindparam("of_stream"), line.number < bindparam("end")
)


def stop(connection: Connection, viewer: Viewer, run_id: int, reason: str) -> str | None:
    """Request a stop of a run, and of its item. Returns the id of the agent to be woken."""
    runs.request_stop(connection, run_id)
    item_id = items.item_of_run(connection, run_id)
    # What an agent's key may stop, it was asked before.
    asker = viewer.looking() if viewer.scope is Scope.AGENT else viewer.as_submitter()
    item = items.find_item(connection, asker, item_id) if item_id else None
    if item is None:
        return None
    items.stop(connection, item, reason)
    return item.agent_id


def set_state(connection: Connection, found: Run, state: str) -> bool:
    """Set a lost run to failed, or to pending, so that it can start again. False: it has just changed.

    Raises:
        Refused: not allowed from the run's current state.
    """
    before = _ALLOWED.get(state, ())
    if found.state not in before:
        raise Refused(f"Run {found.name!r} is {found.state}; it cannot be set to {state[:40]!r}.")
    if state == run_states.FAILED:
        return run_ends.end(connection, found.id, state, time.time())
    values = {"of_id": found.id, "of_states": before, "state": state, "stopped": False, "exit_code": None}
    return connection.execute(_SET, values).rowcount > 0


def delete_batch(connection: Connection, run_id: int) -> bool:
    """Delete a batch of the run's lines (others can write in between) or at last the run. True when it is gone."""
    first = connection.execute(_STREAMS, {"of_run": run_id}).first()
    if first is not None:
        which = {"of_run": run_id, "of_stream": first[0], "end": first[1] + _BATCH}
        connection.execute(_LINES, which)
        return False
    connection.execute(_GRID_ANEW, {"of_run": run_id})
    # The item keeps its outcome, also without its run.
    connection.execute(update(run_queue_items).where(run_queue_items.c.run_id == run_id).values(run_id=None))
    connection.execute(delete(runs_table).where(runs_table.c.id == run_id))
    return True
