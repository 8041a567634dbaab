"""Ends of runs: reported by their client or by an agent, or by timeout of their heartbeats.

An item that W&B's own agent serves follows its run, because that agent never reports an end. An item that launchd's
agent serves does not: its outcome is that of its process.
"""

from sqlalchemy import Connection, Float, bindparam, func, literal_column, select, update

from launchd.server.store.clock import NOW
from launchd.server.store.launch.states import CLAIMED
from launchd.server.store.runs.states import (
    CRASHED,
    HEARTBEAT_STATES,
    ITEM_STATE,
    ITEM_STATUS,
    KILLED,
    NOT_ENDED,
    PREEMPTED,
    PREEMPTING,
)
from launchd.server.store.sweeps import ends as sweep_ends
from launchd.server.store.tables import run_queue_items, runs

item = run_queue_items.c

# Literals, not parameters: the databases must see them to use the partial index.
_SENDS_HEARTBEATS = runs.c.state.in_([literal_column(f"'{state}'") for state in HEARTBEAT_STATES])
_IS_SILENT = runs.c.heard_at < NOW - bindparam("timeout", type_=Float)
_TIMED_OUT = select(runs.c.id, runs.c.stopped, runs.c.state).where(_SENDS_HEARTBEATS, _IS_SILENT)
_LONGEST_SILENCE = select(NOW - func.min(runs.c.heard_at)).where(_SENDS_HEARTBEATS)
_END = update(runs).where(runs.c.id == bindparam("of_id"), runs.c.state.in_(NOT_ENDED))
_CRASH = update(runs).where(runs.c.id == bindparam("of_id"), _SENDS_HEARTBEATS, _IS_SILENT)
_FOLLOW = update(run_queue_items).where(
    item.run_id == bindparam("of_run"), item.follows_run, item.state == literal_column(f"'{CLAIMED}'")
)


def end(connection: Connection, run_id: int, state: str, now: float, exit_code: int | None = None) -> bool:
    """End a run. False: it has ended already, and an end is never overwritten."""
    values = {"of_id": run_id, "state": state}
    if exit_code is not None:
        values["exit_code"] = exit_code
    if connection.execute(_END, values).rowcount == 0:
        return False
    _end_followers(connection, run_id, state, now, exit_code)
    return True


def crash_timed_out(connection: Connection, timeout_seconds: float, now: float) -> int:
    """Mark runs silent for the timeout as crashed; as killed or preempted if that was to come. Returns how many."""
    crashed = 0
    for row in connection.execute(_TIMED_OUT, {"timeout": timeout_seconds}).all():
        state = _end_of_silence(row.state, stopped=row.stopped)
        values = {"of_id": row.id, "timeout": timeout_seconds, "state": state}
        if connection.execute(_CRASH, values).rowcount:
            _end_followers(connection, row.id, state, now, None)
            crashed += 1
    return crashed


def _end_of_silence(state: str, *, stopped: bool) -> str:
    """The state of a run whose client is silent, as W&B's server has it."""
    if stopped:
        return KILLED
    return PREEMPTED if state == PREEMPTING else CRASHED


def longest_silence(connection: Connection) -> float | None:
    """Seconds since the oldest last heartbeat of all runs that send heartbeats; None where there are none."""
    return connection.execute(_LONGEST_SILENCE).scalar()


def _end_followers(connection: Connection, run_id: int, state: str, now: float, exit_code: int | None) -> None:
    """End the item that follows this run, and the sweep if it waited only for this run."""
    values = {"state": ITEM_STATE[state], "status": ITEM_STATUS[state], "exit_code": exit_code, "finished_at": now}
    if state == CRASHED:
        values["message"] = "The run sent no heartbeat any more."
    connection.execute(_FOLLOW, {"of_run": run_id, **values})
    sweep_ends.after_run(connection, run_id)
