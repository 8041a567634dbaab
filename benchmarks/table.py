"""Figures and the table that shows them: what was measured, the target and the baseline."""

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One measured figure; all texts are for people.

    ``target`` is the value that it should have, ``baseline`` the figure of the bare machine, ``met`` whether the target
    was reached.
    """

    name: str
    measured: str
    target: str
    baseline: str
    met: bool


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which ``percent`` of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def milliseconds(values: Sequence[float]) -> str:
    """Return the median and the 99th percentile of times in seconds as text in milliseconds."""
    return f"p50 {statistics.median(values) * 1000:.1f} ms, p99 {percentile(values, 99) * 1000:.1f} ms"


def mebibytes(size: float) -> str:
    """Return a number of bytes as text in MiB."""
    return f"{size / 2**20:.1f} MiB"


def print_table(figures: Sequence[Figure]) -> None:
    """Print ``figures`` as a Markdown table."""
    print("| what | measured | target | baseline | |")
    print("|---|---|---|---|---|")
    for figure in figures:
        verdict = "met" if figure.met else "**missed**"
        print(f"| {figure.name} | {figure.measured} | {figure.target} | {figure.baseline} | {verdict} |")
