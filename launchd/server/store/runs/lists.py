"""Lists of runs: filtered, ordered, page by page, partly by the database and partly run by run.

The database evaluates conditions and orders on columns. It cannot evaluate those on values inside config and summary,
for which the two databases have no common syntax: then the project's runs are iterated, a few at a time in memory, and
only the sort values of each are kept.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, func, select

from launchd.server.answer_budget import AnswerBudget
from launchd.server.errors import Refused
from launchd.server.models import Run
from launchd.server.runs import filters, sorting
from launchd.server.runs.field_access import RunFields, column_of
from launchd.server.store.runs.runs import COLUMNS
from launchd.server.store.tables import runs, sweeps

T = TypeVar("T")

_FETCHED_AT_ONCE = 25
_LONGEST_WALK_SECONDS = 30.0


class RunQuery:
    """Which runs of a project, in which order; the newest first without one."""

    def __init__(self, project_id: int, given: Mapping[str, Any], order: Sequence[sorting.OrderKey] = ()) -> None:
        """Raises:
        Refused: the filter or the order is not valid.
        """
        self.predicate = filters.predicate(given) if given else None
        self.conditions = [runs.c.project_id == project_id, *_conditions(given)]
        self.order = order

    def ordered_by_columns(self) -> bool:
        """Whether the database can do the whole order."""
        return all(column_of(key.path) is not None for key in self.order)

    def select(self) -> Select[Any]:
        """Candidates, in order as far as the database can do it."""
        wanted = COLUMNS.where(*self.conditions)
        if self.order and self.ordered_by_columns():
            return wanted.order_by(*(_column_order(key) for key in self.order), runs.c.id)
        return wanted.order_by(runs.c.id.desc())


def page(connection: Connection, query: RunQuery, offset: int, limit: int, answer: AnswerBudget) -> list[Run]:
    """Up to `limit` runs after the first `offset`. They count as read into the answer."""
    if not query.ordered_by_columns():
        return _sorted_page(connection, query, offset, limit, answer)
    if query.predicate is None:
        return list(_counted(_rows(connection, query.select().offset(offset).limit(limit)), answer))
    return list(_counted(islice(_matching(connection, query, answer), offset, offset + limit), answer))


def count(connection: Connection, query: RunQuery, answer: AnswerBudget) -> int:
    """How many runs match."""
    if query.predicate is None:
        return connection.execute(select(func.count()).select_from(runs).where(*query.conditions)).scalar_one()
    return sum(1 for _ in _matching(connection, query, answer))


def _rows(connection: Connection, wanted: Select[Any]) -> Iterator[Run]:
    rows = connection.execute(wanted, execution_options={"yield_per": _FETCHED_AT_ONCE})
    return (Run(**row._mapping) for row in rows)


def _counted(found: Iterable[Run], answer: AnswerBudget) -> Iterator[Run]:
    for run in found:
        answer.take(run.size)
        yield run


def _conditions(given: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    for column, values in filters.equalities(given).items():
        yield _column(column).in_(values)


def _column(name: str) -> ColumnElement[Any]:
    return sweeps.c.name if name == "sweep_name" else runs.c[name]


def _column_order(key: sorting.OrderKey) -> ColumnElement[Any]:
    column = _column(column_of(key.path) or "id")
    return (column.desc() if key.descending else column.asc()).nulls_last()


def _matching(connection: Connection, query: RunQuery, answer: AnswerBudget) -> Iterator[Run]:
    predicate = query.predicate
    for run in in_time(_rows(connection, query.select())):
        answer.go_on()
        if predicate is None or predicate(RunFields(run)):
            yield run


def in_time(found: Iterable[T], seconds: float = _LONGEST_WALK_SECONDS) -> Iterator[T]:
    """Iterate with a time limit, because others wait for the store while a filter reads a million runs.

    Raises:
        Refused: it took too long.
    """
    end = time.monotonic() + seconds
    for one in found:
        if time.monotonic() > end:
            raise Refused(f"The filter took more than {seconds:g} s; ask for fewer conditions, or for columns alone.")
        yield one


def _sorted_page(connection: Connection, query: RunQuery, offset: int, limit: int, answer: AnswerBudget) -> list[Run]:
    key = sorting.sort_key(query.order)
    values = [(_values(run, query.order), run.id) for run in _matching(connection, query, answer)]
    chosen = [run_id for _, run_id in sorted(values, key=lambda pair: key(pair[0]))[offset : offset + limit]]
    found = {run.id: run for run in _counted(_rows(connection, COLUMNS.where(runs.c.id.in_(chosen))), answer)}
    return [found[run_id] for run_id in chosen if run_id in found]


def _values(run: Run, order: Sequence[sorting.OrderKey]) -> list[Any]:
    fields = RunFields(run)
    return [fields.value(key.path) for key in order]
