"""Ends of sweeps: a sweep is finished when it makes no more runs and all its runs have ended.

Checked at the end of a run as well as at an agent's heartbeat: the last agent may leave before the last run ends.
"""

import time

from sqlalchemy import Connection, Select, and_, bindparam, or_, select, update

from launchd.server.models import Sweep
from launchd.server.store.runs.states import ALIVE
from launchd.server.store.sweeps import preempted, sweeps
from launchd.server.store.sweeps import results as sweep_results
from launchd.server.store.sweeps.states import FINISHED, RUNNING
from launchd.server.store.tables import runs
from launchd.server.store.tables import sweeps as sweeps_table
from launchd.server.sweeps import samplers
from launchd.server.sweeps.config import CUSTOM, SweepConfig, read_config

_SWEEP_OF = select(runs.c.sweep_id).where(runs.c.id == bindparam("of_run"))
_FINISH = update(sweeps_table).where(sweeps_table.c.id == bindparam("of_id"), sweeps_table.c.state == RUNNING)


def runs_expected(config: SweepConfig) -> int | None:
    """How many runs the sweep will make; None if unlimited."""
    size = samplers.grid_size(config) if config.method == "grid" else None
    ends = [end for end in (size, config.run_cap) if end is not None]
    return min(ends, default=None)


def is_exhausted(connection: Connection, sweep: Sweep, config: SweepConfig) -> bool:
    """Whether the sweep makes no more runs: the grid is done, or the cap or the target is reached."""
    if config.method == "grid" and sweep.grid_place >= samplers.grid_size(config):
        return True
    if config.run_cap is not None and sweep_results.count(connection, sweep.id) >= config.run_cap:
        return True
    return _has_reached_target(connection, sweep, config)


def _has_reached_target(connection: Connection, sweep: Sweep, config: SweepConfig) -> bool:
    best = sweep_results.best_loss(connection, sweep, config) if config.target is not None else None
    if best is None or config.target is None:
        return False
    return best >= config.target if config.maximize else best <= config.target


def finish(connection: Connection, sweep: Sweep) -> None:
    """Set an exhausted sweep to finished, unless a run is alive or waits to be handed out again."""
    if not connection.execute(select(_to_come(sweep).exists())).scalar():
        connection.execute(_FINISH, {"of_id": sweep.id, "state": FINISHED, "updated_at": time.time()})


def _to_come(sweep: Sweep) -> Select[tuple[int]]:
    """Runs of the sweep that have not ended; a scheduler of its own sees to preempted ones itself."""
    alive = and_(runs.c.sweep_id == sweep.id, runs.c.state.in_(ALIVE))
    return select(runs.c.id).where(alive if sweep.method == CUSTOM else or_(alive, preempted.is_waiting(sweep.id)))


def after_run(connection: Connection, run_id: int) -> None:
    """Finish the run's sweep if this was its last run."""
    sweep_id = connection.execute(_SWEEP_OF, {"of_run": run_id}).scalar()
    sweep = sweeps.sweep_by_number(connection, sweep_id) if sweep_id is not None else None
    if sweep is not None and sweep.state == RUNNING and is_exhausted(connection, sweep, read_config(sweep.config)):
        finish(connection, sweep)
