"""Parameters and results of the runs of a sweep. Only reads."""

from sqlalchemy import Connection, func, select

from launchd.server.models import Sweep
from launchd.server.runs import history_keys, lenient_json
from launchd.server.store.runs.states import PENDING
from launchd.server.store.tables import runs as runs_table
from launchd.server.sweeps import samplers
from launchd.server.sweeps.bayes import MOST_OBSERVATIONS, Observation
from launchd.server.sweeps.config import SweepConfig


def observations(connection: Connection, sweep: Sweep, config: SweepConfig) -> list[Observation]:
    """Parameters and metrics of the newest runs that reached the metric, the oldest first."""
    wanted = (
        select(runs_table.c.config, runs_table.c.summary)
        .where(runs_table.c.sweep_id == sweep.id, runs_table.c.summary.is_not(None), runs_table.c.state != PENDING)
        .order_by(runs_table.c.id.desc())
        .limit(MOST_OBSERVATIONS)
    )
    seen = []
    for row in connection.execute(wanted):
        metric = metric_of(config, row.summary)
        if metric is not None:
            values = samplers.values_of(config, lenient_json.load_object(row.config))
            seen.append(Observation(values, metric))
    return seen[::-1]


def points(connection: Connection, sweep: Sweep, config: SweepConfig) -> frozenset[str]:
    """Keys of the points given to runs of the sweep."""
    wanted = select(runs_table.c.config).where(runs_table.c.sweep_id == sweep.id)
    given = (lenient_json.load_object(text) for text in connection.execute(wanted).scalars())
    return frozenset(samplers.point_key(samplers.values_of(config, run_config)) for run_config in given)


def metric_of(config: SweepConfig, summary: str | None) -> float | None:
    """The sweep's metric in a run's summary, if it is there and a number."""
    return history_keys.number_at(lenient_json.load_object(summary), config.metric) if config.metric else None


def best_loss(connection: Connection, sweep: Sweep, config: SweepConfig) -> float | None:
    """The best metric of all runs."""
    if config.metric is None:
        return None
    wanted = select(runs_table.c.summary).where(runs_table.c.sweep_id == sweep.id, runs_table.c.summary.is_not(None))
    rows = connection.execute(wanted, execution_options={"yield_per": 100})
    reached = [metric for row in rows if (metric := metric_of(config, row.summary)) is not None]
    return max(reached, default=None) if config.maximize else min(reached, default=None)


def count(connection: Connection, sweep_id: int) -> int:
    """How many runs the sweep has."""
    wanted = select(func.count()).select_from(runs_table).where(runs_table.c.sweep_id == sweep_id)
    return connection.execute(wanted).scalar_one()
