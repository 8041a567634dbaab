"""A small curve in plain characters: how a metric of a run went. Pure functions."""

import math
from collections.abc import Sequence
from typing import Any

from launchd.cli.terminal import Line, Span

HEIGHT = 10

#: No wider than this, however wide the terminal is.
MOST_COLUMNS = 72
_FEWEST_COLUMNS = 8

Point = tuple[float, float]


def numbers_of(lines: Sequence[tuple[Any, Any]]) -> list[Point]:
    """Return the lines of a history of which step and value are finite numbers, by step."""
    return sorted((float(step), float(value)) for step, value in lines if _is_number(step) and _is_number(value))


def _is_number(value: Any) -> bool:
    match value:
        case bool():
            return False
        case int() | float():
            return math.isfinite(value)
        case _:
            return False


def curve_lines(points: Sequence[Point], width: int) -> list[Line]:
    """Return a curve of at least one point, sorted by step, in lines of at most ``width`` characters.

    Points that share a column are shown as their mean.
    """
    low, high = min(value for _, value in points), max(value for _, value in points)
    labels = {0: f"{high:.4g}", HEIGHT - 1: f"{low:.4g}"} if high > low else {HEIGHT - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    columns = max(_FEWEST_COLUMNS, min(width - margin - 2, MOST_COLUMNS))
    rows = _rows(points, columns, low, high)
    first, last = f"{points[0][0]:.10g}", f"{points[-1][0]:.10g}"
    return [
        *(
            [Span(f"{labels.get(number, ''):>{margin}} |", "bright_black"), Span(row.rstrip(), "green")]
            for number, row in enumerate(rows)
            if high > low or number == HEIGHT - 1
        ),
        [Span(f"{'':>{margin}} +{'-' * columns}", "bright_black")],
        f"{'':>{margin + 2}}{first}{last:>{max(len(last) + 1, columns - len(first))}}",
    ]


def _rows(points: Sequence[Point], columns: int, low: float, high: float) -> list[str]:
    heights = [_height(value, low, high) for value in _by_column(points, columns)]
    return ["".join("*" if height == row else " " for height in heights) for row in range(HEIGHT)]


def _by_column(points: Sequence[Point], columns: int) -> list[float | None]:
    first, last = points[0][0], points[-1][0]
    found: dict[int, list[float]] = {}
    for step, value in points:
        found.setdefault(round((columns - 1) * _part(step, first, last)), []).append(value)
    return [_mean(found[column]) if column in found else None for column in range(columns)]


def _mean(values: Sequence[float]) -> float:
    # Their sum may be larger than a float.
    return math.fsum(value / len(values) for value in values)


def _height(value: float | None, low: float, high: float) -> int | None:
    """Return the row of a value, counted from the top; None where there is none."""
    return None if value is None else round((HEIGHT - 1) * (1.0 - _part(value, low, high)))


def _part(value: float, low: float, high: float) -> float:
    """Return how far a value is from ``low`` to ``high``, from 0 to 1."""
    if high <= low:
        return 0.0
    # The way between them may be longer than a float is large.
    scale = 1.0 if math.isfinite(high - low) else 0.25
    return min(max((value * scale - low * scale) / (high * scale - low * scale), 0.0), 1.0)
