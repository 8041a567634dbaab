"""A history as a Parquet file, written by pyarrow, an optional package: a column for each key, a row for each line.

A key whose values are of several types is a column of text, each value as JSON. Columns of objects come last: wandb
0.31 counts columns where Parquet counts the leaves of these, and would read others in place of those behind them.
"""

import importlib
import importlib.util
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from launchd.server.models import Line
from launchd.server.runs import lenient_json
from launchd.server.runs.history_keys import STEP

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How W&B's clients write the numbers that JSON lacks."""


def is_available() -> bool:
    """Return whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def encode(lines: Sequence[Line]) -> bytes:
    """Return the lines as one file, ordered by step. It takes long for many lines."""
    pyarrow = importlib.import_module("pyarrow")
    rows = [_row(line) for line in sorted(lines, key=_step_of)]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column(pyarrow, name, rows) for name in names}
    kept = {name: column for name, column in columns.items() if column.null_count < len(column)}
    nested = {name for name, column in kept.items() if _has_fields(pyarrow, column.type)}
    order = sorted(kept, key=lambda name: (name != STEP, name in nested))
    file = io.BytesIO()
    importlib.import_module("pyarrow.parquet").write_table(pyarrow.table({name: kept[name] for name in order}), file)
    return file.getvalue()


def _step_of(line: Line) -> int:
    return line.number if line.step is None else line.step


def _row(line: Line) -> dict[str, Any]:
    return lenient_json.load_object(line.content) | {STEP: _step_of(line)}


def _column(pyarrow: Any, name: str, rows: Iterable[Mapping[str, Any]]) -> Any:
    """The values of a key: of their common type, of numbers, or as text."""
    values = [row.get(name) for row in rows]
    ways: tuple[Callable[[Any], Any], ...] = (lambda value: value, _number)
    for way in ways:
        try:
            column = pyarrow.array([way(value) for value in values])
        except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
            continue
        if not _is_empty_object(pyarrow, column.type):
            return column
    return pyarrow.array([_text(value) for value in values], pyarrow.string())


def _number(value: Any) -> float | None:
    """Raises:
    TypeError, ValueError, OverflowError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise TypeError
    return _NUMBERS[value] if value in _NUMBERS else float(value + 0)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else lenient_json.dumps(value)


def _has_fields(pyarrow: Any, kind: Any) -> bool:
    types = pyarrow.types
    return types.is_struct(kind) or (types.is_list(kind) and _has_fields(pyarrow, kind.value_type))


def _is_empty_object(pyarrow: Any, kind: Any) -> bool:
    """Whether there is an object without fields in it, which Parquet has no way to write."""
    types = pyarrow.types
    if types.is_list(kind):
        return _is_empty_object(pyarrow, kind.value_type)
    return types.is_struct(kind) and (
        kind.num_fields == 0 or any(_is_empty_object(pyarrow, field.type) for field in kind)
    )
