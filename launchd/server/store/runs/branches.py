"""Histories that begin in another run, as W&B's forks do, or that go back to one of their steps, as its rewinds do.

Lines are copied and removed in batches: others write in between. A batch that is repeated changes nothing.
"""

import math
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, bindparam, delete, func, select

from launchd.server.errors import Refused
from launchd.server.models import HISTORY, Line, Run
from launchd.server.runs import history_keys, lenient_json
from launchd.server.runs.branch_point import BranchPoint, branch_point
from launchd.server.store.runs import exports, runs
from launchd.server.store.runs import lines as run_lines
from launchd.server.store.tables import run_lines as table
from launchd.server.store.tables import sweep_bands, sweep_progress

#: No database has a later one.
_LAST_STEP = 2**62

_BATCH_LINES = 1_000
_BATCH_CHARACTERS = 2 * 1024 * 1024

line = table.c
_FIRST_BEYOND = select(func.min(line.number)).where(
    line.run_id == bindparam("of_run"), line.stream == HISTORY, line.step > bindparam("of_step")
)
_FROM = delete(table).where(
    line.run_id == bindparam("of_run"), line.stream == HISTORY, line.number >= bindparam("first")
)


def require_parent(connection: Connection, project_id: int, point: BranchPoint) -> Run:
    """Return the run that a fork begins with.

    Raises:
        Refused: the fork's project has no such run.
    """
    parent = runs.find_run(connection, project_id, point.run_id)
    if parent is None:
        raise Refused(f"The run cannot be forked from {point.run_id[:100]!r}: its project has no such run.")
    return parent


def may_inherit(found: Run) -> bool:
    """Return whether the run may be a fork that lacks lines; see :func:`inherit_batch`."""
    return not found.own_lines and '"branch_point"' in (found.config or "")


def inherit_batch(connection: Connection, run_id: int) -> bool:
    """Copy a batch of the lines that a fork begins with. True when it has them all, or has logged lines of its own."""
    found = runs.run_by_number(connection, run_id)
    lines = list(_batch(_not_inherited(connection, found)))
    if not lines:
        return True
    run_lines.write(connection, run_id, HISTORY, lines)
    keys = history_keys.decode(found.history_keys)
    _add(keys, lines)
    values = {"history_keys": history_keys.encode(keys), "inherited_lines": lines[-1].number + 1}
    runs.change(connection, run_id, values)
    return False


def _not_inherited(connection: Connection, found: Run) -> Iterable[Line]:
    point = branch_point(lenient_json.load_object(found.config))
    parent = runs.find_run(connection, found.project_id, point.run_id) if point else None
    if point is None or parent is None or found.own_lines:
        return ()
    end = lines_until(connection, parent, point.step)
    return run_lines.by_number(connection, parent.id, HISTORY, found.inherited_lines, end)


def _batch(lines: Iterable[Line]) -> Iterator[Line]:
    size = 0
    for count, one in enumerate(lines, 1):
        yield one
        size += len(one.content)
        if count == _BATCH_LINES or size > _BATCH_CHARACTERS:
            return


def _add(keys: history_keys.HistoryKeys, lines: Iterable[Line]) -> None:
    for one in lines:
        keys.add_line(history_keys.kinds_of(lenient_json.load_object(one.content)))


def lines_until(connection: Connection, found: Run, step: float) -> int:
    """Return how many lines of the history come before the first one of a later step."""
    which = {"of_run": found.id, "of_step": math.floor(max(-_LAST_STEP, min(step, _LAST_STEP)))}
    beyond: int | None = connection.execute(_FIRST_BEYOND, which).scalar()
    return found.history_lines if beyond is None else beyond


def keys_of_first(connection: Connection, run_id: int, count: int) -> str:
    """Return the keys of the first lines of a history, as a run's row has them. It may take long."""
    keys = history_keys.decode(None)
    _add(keys, run_lines.by_number(connection, run_id, HISTORY, 0, count))
    return history_keys.encode(keys)


def cut_batch(connection: Connection, run_id: int, count: int, keys: str) -> bool:
    """Remove a batch of the lines behind the first ``count``, which have ``keys``. True when none is left.

    What a sweep has read of them is forgotten: it reads the run anew.
    """
    found = runs.run_by_number(connection, run_id)
    first = max(count, found.history_lines - _BATCH_LINES)
    connection.execute(_FROM, {"of_run": run_id, "first": first})
    exports.forget(connection, run_id, first)
    for progress in (sweep_bands, sweep_progress):
        connection.execute(delete(progress).where(progress.c.run_id == run_id))
    values: dict[str, object] = {"history_lines": first}
    if first == count:
        values |= {"history_keys": keys, "inherited_lines": min(found.inherited_lines, count)}
    runs.change(connection, run_id, values)
    return first == count
