"""The views of `launchd history`: tables, sums and comma-separated values of what ran. Pure functions."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ipc.sizes import format_size
from launchd.agent.job_history import HistoryEntry
from launchd.cli.tables import table
from launchd.cli.terminal import Line, Span
from launchd.humanize import format_age, format_minute, format_seconds, one_line, zoned

_COLOURS = {"finished": "green", "failed": "red", "stopped": "yellow", "preempted": "yellow"}

#: What jobs can be summed up by, and what an entry says of it.
GROUPS: Mapping[str, Callable[[HistoryEntry], str]] = {
    "queue": lambda entry: entry.queue,
    "user": lambda entry: entry.user or "-",
    "day": lambda entry: _local(entry.ended_at).strftime("%Y-%m-%d"),
    "outcome": lambda entry: entry.outcome,
    "project": lambda entry: f"{entry.entity}/{entry.project}",
}

#: The first characters by which a spreadsheet takes a text for a formula.
_FORMULA = ("=", "+", "-", "@")


def _local(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).astimezone()


def entry_lines(entries: Iterable[HistoryEntry], width: int) -> list[Line]:
    """Return a table with a line for each job."""
    headers = [zoned("ENDED"), "ITEM", "QUEUE", "USER", "OUTCOME", "EXIT", "RAN", "CPU", "MEMORY", "GPUS", "ABOUT"]
    return list(table(headers, [_row(entry) for entry in entries], width))


def _row(entry: HistoryEntry) -> list[Span]:
    about = "/".join(filter(None, (entry.project, entry.name)))
    return [
        Span(format_minute(_local(entry.ended_at))),
        Span(entry.item_id),
        Span(entry.queue),
        Span(entry.user or "-"),
        Span(entry.outcome, _COLOURS.get(entry.outcome)),
        Span("-" if entry.exit_code is None else str(entry.exit_code)),
        Span(_seconds(entry.seconds)),
        Span(_seconds(entry.cpu_seconds)),
        Span(_size(entry.peak_memory_bytes)),
        Span(_gpus(entry)),
        Span("; ".join(filter(None, (about, one_line(entry.why))))),
    ]


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else format_seconds(seconds)


def _size(size: int | None) -> str:
    return "-" if size is None else format_size(size)


def _gpus(entry: HistoryEntry) -> str:
    if not entry.gpus:
        return "-"
    means = [use.utilisation_mean for use in entry.gpu_use if use.utilisation_mean is not None]
    return f"{entry.gpus} at {sum(means) / len(means):.0f} %" if means else str(entry.gpus)


def sums_of(entries: Iterable[HistoryEntry], by: Sequence[str]) -> list[dict[str, Any]]:
    """Return what jobs used together, by the words in ``by``; times are in seconds, and what is not known counts as 0.

    ``peak_memory_bytes`` is the most that any of them used.
    """
    groups: dict[tuple[str, ...], list[HistoryEntry]] = {}
    for entry in entries:
        groups.setdefault(tuple(GROUPS[word](entry) for word in by), []).append(entry)
    return [dict(zip(by, names, strict=True)) | _sum(groups[names]) for names in sorted(groups)]


def _sum(entries: Sequence[HistoryEntry]) -> dict[str, Any]:
    return {
        "jobs": len(entries),
        "finished": sum(entry.outcome == "finished" for entry in entries),
        "failed": sum(entry.outcome == "failed" for entry in entries),
        "seconds": sum(entry.seconds or 0.0 for entry in entries),
        "cpu_seconds": sum(entry.cpu_seconds or 0.0 for entry in entries),
        "gpu_seconds": sum(entry.gpu_seconds or 0.0 for entry in entries),
        "peak_memory_bytes": max(entry.peak_memory_bytes or 0 for entry in entries),
    }


def sum_lines(sums: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Return a table of what :func:`sums_of` gives, which is not empty."""
    headers = [name.removesuffix("_seconds").removesuffix("_bytes").replace("_", " ").upper() for name in sums[0]]
    headers = ["RAN" if header == "SECONDS" else header for header in headers]
    return list(table(headers, [[Span(_shown(name, row[name])) for name in row] for row in sums], width))


def _shown(name: str, value: Any) -> str:
    if name.endswith("seconds"):
        return format_age(value) if value >= 1 else format_seconds(value)
    return format_size(value) if name.endswith("_bytes") else str(value)


def csv_lines(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> list[Line]:
    """Return comma-separated values, a line for each row; lists in them are counted in other columns and left out."""
    names = [name for name in names if name != "gpu_use"]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in names])
    return list(buffer.getvalue().splitlines())


def _cell(value: Any) -> Any:
    match value:
        case str():
            text = one_line(value)
            return f"'{text}" if text.startswith(_FORMULA) else text
        case _:
            return value
