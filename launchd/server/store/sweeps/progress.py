"""Progress of the runs of a sweep with early stopping; each line of a history is read only once.

The progress is stored beside the runs, so that the cost is that of the new lines, however long the history is.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, delete, func, select

from launchd.server.models import HISTORY, Run, Sweep
from launchd.server.runs import history_keys, lenient_json
from launchd.server.store.runs import lines as run_lines
from launchd.server.store.sweeps import sweeps
from launchd.server.store.sweeps.states import ENDED
from launchd.server.store.tables import runs, sweep_bands, sweep_progress
from launchd.server.store.upserts import insert_or_update
from launchd.server.sweeps.config import read_config
from launchd.server.sweeps.hyperband import Hyperband, Progress

_MOST_LINES = 2_000
"""Lines read in one transaction; the rest follows in the next."""
_MOST_RUNS = 100

seen = sweep_progress.c
_SEEN = runs.outerjoin(sweep_progress, (seen.run_id == runs.c.id) & (seen.sweep_id == bindparam("of_sweep")))
_lines_read = func.coalesce(seen.lines_read, 0)
_OF_RUN = (
    select(runs.c.history_lines, _lines_read.label("lines_read"), seen.iterations, seen.best)
    .select_from(_SEEN)
    .where(runs.c.id == bindparam("of_run"))
)
_UNREAD = (
    select(runs.c.id)
    .select_from(_SEEN)
    .where(runs.c.sweep_id == bindparam("of_sweep"), runs.c.history_lines > _lines_read)
    .limit(_MOST_RUNS)
)
_AT_BAND = (sweep_bands.c.sweep_id == bindparam("of_sweep"), sweep_bands.c.band == bindparam("of_band"))
_HOW_MANY = select(func.count()).select_from(sweep_bands).where(*_AT_BAND)
_RANKED = select(sweep_bands.c.loss).where(*_AT_BAND).order_by(sweep_bands.c.loss).limit(1)
_LOSS = select(sweep_bands.c.loss).where(*_AT_BAND, sweep_bands.c.run_id == bindparam("of_run"))


def falls_behind(connection: Connection, found: Run) -> bool:
    """Read the run's new lines. True where it is too bad for its sweep to continue it."""
    sweep = sweeps.sweep_by_number(connection, found.sweep_id) if found.sweep_id is not None else None
    rule = read_config(sweep.config).early_terminate if sweep else None
    if sweep is None or rule is None:
        return False
    progress, _ = _read_new_lines(connection, sweep.id, rule, found.id, _MOST_LINES)
    return sweep.state not in ENDED and _is_worse(connection, sweep.id, rule, found.id, progress)


def catch_up(connection: Connection, sweep: Sweep, rule: Hyperband) -> None:
    """Read lines that no run's own request has read: of runs that joined later, or ended under another rule."""
    left = _MOST_LINES
    for run_id in connection.execute(_UNREAD, {"of_sweep": sweep.id}).scalars().all():
        left -= _read_new_lines(connection, sweep.id, rule, run_id, left)[1]
        if left <= 0:
            return


def reset(connection: Connection, sweep: Sweep) -> None:
    """Delete the progress, so that everything is read again by another rule."""
    for table in (sweep_bands, sweep_progress):
        connection.execute(delete(table).where(table.c.sweep_id == sweep.id))


def _read_new_lines(
    connection: Connection, sweep_id: int, rule: Hyperband, run_id: int, most: int
) -> tuple[Progress, int]:
    """Read new lines of a run. Returns its progress and how many lines were read."""
    row = connection.execute(_OF_RUN, {"of_sweep": sweep_id, "of_run": run_id}).one()
    before = Progress() if row.iterations is None else Progress(row.iterations, row.best)
    end = min(row.lines_read + most, row.history_lines)
    if end <= row.lines_read:
        return before, 0
    losses = _losses(connection, rule, run_id, row.lines_read, end)
    progress, at_bands = before.after(losses, rule.bands)
    _save(connection, sweep_id, run_id, end, progress, at_bands)
    return progress, end - row.lines_read


def _losses(connection: Connection, rule: Hyperband, run_id: int, first: int, end: int) -> Iterator[float]:
    for line in run_lines.by_number(connection, run_id, HISTORY, first, end):
        value = history_keys.number_at(lenient_json.load_object(line.content), rule.metric)
        if value is not None:
            yield rule.loss_of(value)


def _save(
    connection: Connection, sweep_id: int, run_id: int, end: int, progress: Progress, at_bands: dict[int, float]
) -> None:
    keys = {"sweep_id": sweep_id, "run_id": run_id}
    values = {"lines_read": end, "iterations": progress.iterations, "best": progress.best}
    insert_or_update(connection, sweep_progress, [keys | values], keys=tuple(keys), columns=tuple(values))
    rows = [keys | {"band": band, "loss": loss} for band, loss in at_bands.items()]
    insert_or_update(connection, sweep_bands, rows, keys=("sweep_id", "band", "run_id"), columns=("loss",))


def _is_worse(connection: Connection, sweep_id: int, rule: Hyperband, run_id: int, progress: Progress) -> bool:
    """Whether the run is worse than the threshold at the last band that it reached."""
    band = rule.band_of(progress.iterations)
    if band is None:
        return False
    which = {"of_sweep": sweep_id, "of_band": band}
    place = rule.place_of_threshold(connection.execute(_HOW_MANY, which).scalar_one())
    threshold: float = connection.execute(_RANKED.offset(place), which).scalar_one()
    loss = connection.execute(_LOSS, {**which, "of_run": run_id}).scalar_one() if rule.strict else progress.best
    return loss > threshold
