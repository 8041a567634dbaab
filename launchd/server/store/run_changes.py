"""Setting the state of a run by hand, as W&B's public API does. Owns which changes are allowed."""

import time

from sqlalchemy import Connection, bindparam, update

from launchd.server.errors import Refused
from launchd.server.store import run_ends, run_states
from launchd.server.store.records import Run
from launchd.server.store.tables import runs

_ALLOWED = {
    run_states.PENDING: (run_states.RUNNING, run_states.FAILED, run_states.CRASHED, run_states.PREEMPTED),
    run_states.FAILED: (run_states.PENDING, run_states.RUNNING),
}
_SET = update(runs).where(runs.c.id == bindparam("of_id"), runs.c.state.in_(bindparam("of_states", expanding=True)))


def set_state(connection: Connection, found: Run, state: str) -> bool:
    """To pending, so that it can be started again, or to failed, where it was lost. False: it has just changed.

    Raises:
        Refused: not from the state the run is in.
    """
    before = _ALLOWED.get(state, ())
    if found.state not in before:
        raise Refused(f"Run {found.name!r} is {found.state}; it cannot be set to {state[:40]!r}.")
    if state == run_states.FAILED:
        return run_ends.end(connection, found.id, state, time.time())
    values = {"of_id": found.id, "of_states": before, "state": state, "stopped": False, "exit_code": None}
    return connection.execute(_SET, values).rowcount > 0
