"""Lines that runs log: history, system metrics, console; and their counters in the run's row.

Lines are rows, and not files beside the database, because a line becomes durable together with the counter that tells a
resuming client where to continue, a client that sends an offset again overwrites exactly those lines, a page or a tail
is one range of the primary key, and PostgreSQL keeps them for many servers as SQLite does for one. The rows are stored
in the order of that key (WITHOUT ROWID), so that a run's lines are neighbours on disk. Samples are taken while
iterating, without loading everything.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, case, delete, insert, select, update

from launchd.server.answer_budget import AnswerBudget
from launchd.server.errors import Refused
from launchd.server.models import CONSOLE, EVENTS, HISTORY, Line
from launchd.server.store.runs import exports
from launchd.server.store.tables import run_lines, runs

_COUNTERS = {HISTORY: runs.c.history_lines, EVENTS: runs.c.event_lines, CONSOLE: runs.c.console_lines}
_MOST_LINES = 2**31 - 1
_FETCHED_AT_ONCE = 50

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
    """Write lines with consecutive numbers, replacing existing ones.

    Raises:
        Refused: the numbers are out of range.
    """
    if not lines:
        return
    first, end = lines[0].number, lines[-1].number + 1
    if first < 0 or end > _MOST_LINES:
        raise Refused(f"Lines {first} to {end} cannot be kept: a stream has at most {_MOST_LINES} lines.")
    # The counter first: its row lock serialises two writers of one stream.
    _count(connection, run_id, stream, end)
    replaced = connection.execute(_REPLACED, {"of_run": run_id, "of_stream": stream, "first": first, "end": end})
    if replaced.rowcount and stream == HISTORY:
        exports.forget(connection, run_id, first)
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


def tail(connection: Connection, run_id: int, stream: int, most: int, answer: AnswerBudget) -> list[Line]:
    """The last lines, in order. They count as read into the answer."""
    which = {"of_run": run_id, "of_stream": stream, "most": most}
    return list(counted(_lines(connection, _TAIL, which), answer))[::-1]


def some(connection: Connection, run_id: int, stream: int, numbers: Sequence[int]) -> Iterator[Line]:
    """The lines with these numbers that exist, in order, fetched in small batches while they are consumed."""
    return _lines(connection, _SOME, {"of_run": run_id, "of_stream": stream, "numbers": numbers})


def counted(lines: Iterable[Line], answer: AnswerBudget) -> Iterator[Line]:
    """Lines that count as read into the answer when they are read."""
    for one in lines:
        answer.take_texts(one.content)
        yield one


def by_number(
    connection: Connection, run_id: int, stream: int, first: int, end: int, substrings: Sequence[str] = ()
) -> Iterator[Line]:
    """Lines with `first` <= number < `end`, fetched in small batches while they are consumed.

    `substrings` leaves out lines that do not contain all of them; a few may still be returned, because some databases
    ignore upper and lower case.
    """
    which = {"of_run": run_id, "of_stream": stream, "first": first, "end": end}
    return _lines(connection, _RANGE.where(*_having(substrings)), which)


def by_step(
    connection: Connection, run_id: int, first: int, end: int, substrings: Sequence[str] = ()
) -> Iterator[Line]:
    """Lines of the history with `first` <= step < `end`; otherwise as `by_number`."""
    return _lines(connection, _STEPS.where(*_having(substrings)), {"of_run": run_id, "first": first, "end": end})


def _having(substrings: Sequence[str]) -> list[ColumnElement[bool]]:
    return [line.content.contains(substring, autoescape=True) for substring in substrings]


def _lines(connection: Connection, statement: Select[Any], which: Mapping[str, Any]) -> Iterator[Line]:
    rows = connection.execute(statement, which, execution_options={"yield_per": _FETCHED_AT_ONCE})
    return (Line(row.number, row.content, row.step) for row in rows)
