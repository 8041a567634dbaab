"""Runs of sweeps that were preempted, and wait to be handed out again: under their name, with their values.

As W&B documents it: a run that said `mark_preempting()` and did not end with success goes to an agent of its sweep
before any new one. An item that its launch agent has reported as preempted is put back into its queue by that agent.
"""

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from launchd.server.models import Run, Sweep
from launchd.server.store.launch import states as item_states
from launchd.server.store.runs import runs
from launchd.server.store.runs.states import PENDING, PREEMPTED
from launchd.server.store.tables import run_queue_items
from launchd.server.store.tables import runs as table

item = run_queue_items.c
_NEWEST = run_queue_items.alias("newest")


def is_waiting(sweep_id: int) -> ColumnElement[bool]:
    """The condition that a run of the sweep waits to be handed out again."""
    return and_(table.c.sweep_id == sweep_id, table.c.state == PREEMPTED, ~table.c.stopped)


def next_of(connection: Connection, sweep: Sweep) -> Run | None:
    """Return the run that has waited longest, and that no launch agent starts again."""
    # Of this run, which is two statements out: that is not found by itself.
    newest = select(func.max(item.number)).where(item.run_id == table.c.id).correlate(table).scalar_subquery()
    held = or_(
        _NEWEST.c.state.not_in(item_states.ENDED),
        and_(_NEWEST.c.state == item_states.PREEMPTED, ~_NEWEST.c.follows_run),
    )
    is_held = select(_NEWEST.c.id).where(_NEWEST.c.number == newest, held).exists()
    wanted = select(table.c.id).where(is_waiting(sweep.id), ~is_held).order_by(table.c.id).limit(1)
    run_id = connection.execute(wanted).scalar()
    return runs.run_by_number(connection, run_id) if run_id is not None else None


def announce(connection: Connection, run: Run, agent_id: str) -> None:
    """Set the run to pending, as that agent of the sweep is told to start it."""
    values = {"state": PENDING, "stopped": False, "exit_code": None, "sweep_agent_id": agent_id}
    runs.change(connection, run.id, values)
