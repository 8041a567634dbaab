"""Deleting runs: the many lines in batches, so that others can write in between, then the rest."""

from sqlalchemy import Connection, bindparam, delete, func, select, update

from launchd.server.store.tables import run_lines, run_queue_items, runs

_BATCH = 20_000

line = run_lines.c
_STREAMS = select(line.stream, func.min(line.number)).where(line.run_id == bindparam("of_run")).group_by(line.stream)
_LINES = delete(run_lines).where(
    line.run_id == bindparam("of_run"), line.stream == bindparam("of_stream"), line.number < bindparam("end")
)


def delete_batch(connection: Connection, run_id: int) -> bool:
    """Delete some of the run's lines, or, where none are left, the run. True when it is gone."""
    first = connection.execute(_STREAMS, {"of_run": run_id}).first()
    if first is not None:
        which = {"of_run": run_id, "of_stream": first[0], "end": first[1] + _BATCH}
        connection.execute(_LINES, which)
        return False
    # The item keeps its outcome, also without its run.
    connection.execute(update(run_queue_items).where(run_queue_items.c.run_id == run_id).values(run_id=None))
    connection.execute(delete(runs).where(runs.c.id == run_id))
    return True
