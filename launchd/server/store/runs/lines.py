"""Lines that runs log: history, system metrics, console. Owns their rows and the counters in the run's row.

Why rows of lines, and not files beside the database: a line is durable together with the counter that tells a resuming
client where to go on, a client that sends an offset again overwrites exactly what it means to, a page or a tail is one
walk along the primary key, and PostgreSQL keeps them for many servers as SQLite does for one. The rows lie in the order
of that key (WITHOUT ROWID), so that a run's lines are neighbours on disk. Samples are taken while walking, never by
loading everything.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, delete, insert, select, update

from launchd.server.errors import Refused
from launchd.server.models import CONSOLE, EVENTS, HISTORY, Line
from launchd.server.store.tables import run_lines, runs

_COUNTERS = {HISTORY: runs.c.history_lines, EVENTS: runs.c.event_lines, CONSOLE: runs.c.console_lines}
_MOST_LINES = 2**31 - 1
_FETCHED_AT_ONCE = 100

line = run_lines.c
_OF_STREAM = select(line.number, line.content, line.step).where(
    line.run_id == bindparam("of_run"), line.stream == bindparam("of_stream")
)
_RANGE = _OF_STREAM.where(line.number >= bindparam("first"), line.number < bindparam("end")).order_by(line.number)
_STEPS = (
    select(line.number, line.content, line.step)
    .where(
        line.run_id == bindparam("of_run"),
        line.step.is_not(None),
        line.step >= bindparam("first"),
        line.step < bindparam("end"),
    )
    .order_by(line.step, line.number)
)
_SOME = _OF_STREAM.where(line.number.in_(bindparam("numbers", expanding=True))).order_by(line.number)
_TAIL = _OF_STREAM.order_by(line.number.desc()).limit(bindparam("most"))
_REPLACED = delete(run_lines).where(
    line.run_id == bindparam("of_run"),
    line.stream == bindparam("of_stream"),
    line.number >= bindparam("first"),
    line.number < bindparam("end"),
)


def write(connection: Connection, run_id: int, stream: int, lines: Sequence[Line]) -> None:
    """Write lines with consecutive numbers; what stood there is replaced.

    Raises:
        Refused: the numbers are out of range.
    """
    if not lines:
        return
    first, end = lines[0].number, lines[-1].number + 1
    if first < 0 or end > _MOST_LINES:
        raise Refused(f"Lines {first} to {end} cannot be kept: a stream has at most {_MOST_LINES} lines.")
    # The counter first: its row is the lock that keeps two writers of one stream apart.
    _count(connection, run_id, stream, end)
    connection.execute(_REPLACED, {"of_run": run_id, "of_stream": stream, "first": first, "end": end})
    rows = [
        {"run_id": run_id, "stream": stream, "number": one.number, "step": one.step, "content": one.content}
        for one in lines
    ]
    connection.execute(insert(run_lines), rows)


def _count(connection: Connection, run_id: int, stream: int, end: int) -> None:
    counter = _COUNTERS[stream]
    connection.execute(
        update(runs).where(runs.c.id == run_id).values({counter.name: case((counter < end, end), else_=counter)})
    )


def tail(connection: Connection, run_id: int, stream: int, most: int) -> list[Line]:
    """The last lines, in order."""
    which = {"of_run": run_id, "of_stream": stream, "most": most}
    return list(_lines(connection, _TAIL, which))[::-1]


def some(connection: Connection, run_id: int, stream: int, numbers: Sequence[int]) -> list[Line]:
    """Those of these lines that exist, in order."""
    return list(_lines(connection, _SOME, {"of_run": run_id, "of_stream": stream, "numbers": numbers}))


def by_number(
    connection: Connection, run_id: int, stream: int, first: int, end: int, words: Sequence[str] = ()
) -> Iterator[Line]:
    """Lines `first` to `end`, the end not included; fetched bit by bit while they are taken.

    With `words`, lines that have not all of them are left out; a few such lines may still come, as upper and lower case
    may count as the same.
    """
    which = {"of_run": run_id, "of_stream": stream, "first": first, "end": end}
    return _lines(connection, _RANGE.where(*_having(words)), which)


def by_step(connection: Connection, run_id: int, first: int, end: int, words: Sequence[str] = ()) -> Iterator[Line]:
    """Lines of the history whose step is in this range, the end not included; otherwise as `by_number`."""
    return _lines(connection, _STEPS.where(*_having(words)), {"of_run": run_id, "first": first, "end": end})


def _having(words: Sequence[str]) -> list[ColumnElement[bool]]:
    return [line.content.contains(word, autoescape=True) for word in words]


def _lines(connection: Connection, statement: Select[Any], which: Mapping[str, Any]) -> Iterator[Line]:
    rows = connection.execute(statement, which, execution_options={"yield_per": _FETCHED_AT_ONCE})
    return (Line(row.number, row.content, row.step) for row in rows)
