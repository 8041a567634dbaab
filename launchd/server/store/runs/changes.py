"""Changes of a run by others than its client: stop requests and setting its state."""

import time

from sqlalchemy import Connection, bindparam, update

from launchd.server.errors import Refused
from launchd.server.models import Run, Viewer
from launchd.server.store.launch import items
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.runs import states as run_states
from launchd.server.store.tables import runs as runs_table

_ALLOWED = {
    run_states.PENDING: (run_states.RUNNING, run_states.FAILED, run_states.CRASHED, run_states.PREEMPTED),
    run_states.FAILED: (run_states.PENDING, run_states.RUNNING),
}
_SET = update(runs_table).where(
    runs_table.c.id == bindparam("of_id"), runs_table.c.state.in_(bindparam("of_states", expanding=True))
)


def stop(connection: Connection, viewer: Viewer, run_id: int, reason: str) -> str | None:
    """Request a stop of a run, and of its item. Returns the id of the agent to be woken."""
    runs.request_stop(connection, run_id)
    item_id = items.item_of_run(connection, run_id)
    item = items.find_item(connection, viewer, item_id) if item_id else None
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
