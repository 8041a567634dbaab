"""Figures as lines of a table: what was measured, the target, and the limit beside it."""

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One measured figure. ``target`` says in words what it should be, ``limit`` what the bare machine does."""

    what: str
    measured: str
    target: str
    limit: str
    met: bool


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which ``percent`` of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def milliseconds(values: Sequence[float]) -> str:
    """Return median and 99th percentile of seconds, in milliseconds."""
    return f"p50 {statistics.median(values) * 1000:.1f} ms, p99 {percentile(values, 99) * 1000:.1f} ms"


def mebibytes(size: float) -> str:
    """Return bytes as MiB."""
    return f"{size / 2**20:.1f} MiB"


def print_table(figures: Sequence[Figure]) -> None:
    """Print ``figures`` as a Markdown table."""
    print("| what | measured | target | limit beside it | |")
    print("|---|---|---|---|---|")
    for figure in figures:
        verdict = "met" if figure.met else "**missed**"
        print(f"| {figure.what} | {figure.measured} | {figure.target} | {figure.limit} | {verdict} |")
