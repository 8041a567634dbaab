"""What is shown of runs: a line of a table for each, or everything of one. Pure functions."""

import json
import math
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from launchd.cli.curve import curve_lines, numbers_of
from launchd.cli.item_view import labelled, masked
from launchd.cli.masking import without_passwords
from launchd.cli.tables import table
from launchd.cli.terminal import Line, Span
from launchd.client.run_reading import Run
from launchd.humanize import format_age, format_minute, format_moment, join_names, join_some, one_line, zoned

_COLOURS = {
    "finished": "green",
    "running": "green",
    "failed": "red",
    "crashed": "red",
    "killed": "yellow",
    "preempting": "yellow",
    "preempted": "yellow",
}

#: Of a value in a table of runs, in characters.
_MOST_OF_VALUE = 20


def run_table(runs: Sequence[Run], keys: Sequence[str], *, with_project: bool, width: int) -> list[Line]:
    """Return a table of runs with these keys of their summaries."""
    project = ("PROJECT",) if with_project else ()
    headers = (*project, "RUN", "STATE", "AUTHOR", "HOST", zoned("CREATED"), "RAN", *keys, "NAME")
    return table(headers, [_row(run, keys, with_project=with_project) for run in runs], width)


def _row(run: Run, keys: Sequence[str], *, with_project: bool) -> list[Span]:
    return [
        *([Span(run.project)] if with_project else []),
        Span(run.id),
        Span(run.state, _COLOURS.get(run.state)),
        Span(run.author or "-"),
        Span(run.host or "-"),
        Span(format_minute(run.created_at)),
        Span(format_age(_seconds(run))),
        *(Span(_short(value_at(run.summary, key))) for key in keys),
        Span(one_line(run.name)),
    ]


def _seconds(run: Run) -> float | None:
    """Return how long a run was heard of."""
    if run.created_at is None or run.heard_at is None or run.state == "pending":
        return None
    return (run.heard_at - run.created_at).total_seconds()


def value_at(values: dict[str, Any], key: str) -> Any:
    """Return the value of a key, or of a path of keys with dots between them; None where there is none."""
    if key in values:
        return values[key]
    first, dot, rest = key.partition(".")
    match values.get(first) if dot else None:
        case dict() as below:
            return value_at(below, rest)
        case _:
            return None


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _MOST_OF_VALUE else f"{text[: _MOST_OF_VALUE - 3]}..."


def _text(value: Any) -> str:
    """Return a value of config or summary in one line."""
    match value:
        case None:
            return "-"
        case str():
            return one_line(value) or "-"
        case float():
            return f"{value:.6g}"
        case _:
            return json.dumps(value)


def run_lines(run: Run, page: str) -> list[Line]:
    """Return everything of a run but a curve; ``page`` is its address."""
    git = " at ".join(filter(None, (without_passwords(run.repository or ""), run.commit)))
    word = shlex.quote(f"{run.entity}/{run.project}/{run.id}")
    return [
        [Span(f"Run {run.id}", bold=True), Span("  "), Span(run.state, _COLOURS.get(run.state))],
        *labelled(
            name=run.name,
            project=f"{run.entity}/{run.project}",
            author=run.author,
            host=run.host,
            created=format_moment(run.created_at),
            heard=_heard(run),
            exit=None if run.exit_code is None else str(run.exit_code),
            program=run.program,
            git=git,
            sweep=run.sweep,
            group=run.group,
            type=run.job_type,
            tags=join_names(run.tags),
            notes=run.notes,
            page=page,
            history=_history(run, word),
            files=str(run.files) if run.files else None,
        ),
        *_values("Config", masked(run.config)),
        *_values("Summary", run.summary),
    ]


def _heard(run: Run) -> str | None:
    seconds = _seconds(run)
    return None if seconds is None else f"{format_moment(run.heard_at)} (after {format_age(seconds)})"


def _history(run: Run, word: str) -> str | None:
    if not run.metrics:
        return None
    example = shlex.quote(run.metrics[0])
    return f"{run.lines} lines of {join_some(run.metrics)}; a curve: launchd run show {word} --metric {example}"


def _values(title: str, values: dict[str, Any]) -> list[Line]:
    if not values:
        return []
    width = min(30, max(map(len, values)))
    rows: list[Line] = [
        [Span(f"  {name:<{width}}  ", "bright_black"), Span(_text(values[name]))] for name in sorted(values)
    ]
    return ["", [Span(title, bold=True)], *rows]


def metric_lines(key: str, lines: Sequence[tuple[Any, Any]], width: int) -> list[Line]:
    """Return the curve of a metric with its title."""
    points = numbers_of(lines)
    if not points:
        return ["", f"The history has no number under {key!r}."]
    left_out = len(lines) - len(points)
    low, high = min(points, key=_value), max(points, key=_value)
    said = f"least {low[1]:.6g}, most {high[1]:.6g}, last {points[-1][1]:.6g}"
    note = [f"{left_out} of the values read are no numbers, and not shown."] if left_out else []
    return ["", [Span(one_line(key), bold=True), Span(f"  by step: {said}")], *curve_lines(points, width), *note]


def _value(point: tuple[float, float]) -> float:
    return point[1]


def as_json(run: Run) -> dict[str, Any]:
    """Return a run for `--json`: times in ISO 8601 with their zone, secrets masked, NaN and infinities as texts."""
    values = {name: _plain(value) for name, value in msgspec.structs.asdict(run).items()}
    return {**values, "config": masked(values["config"]), "repository": without_passwords(run.repository or "") or None}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def plain_points(lines: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]]:
    """Return the lines of a metric for `--json`."""
    return [{"step": _plain(step), "value": _plain(value)} for step, value in lines]
