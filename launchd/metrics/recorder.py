"""Counts and times things for metrics, without Prometheus' library: the agent's supervisor does not load it.

Owns the bounds: a metric has at most so many series, and a label's value is short and plain text.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from ipc.visible_text import visible
from launchd.metrics.model import Distribution, Family, Kind, Metric, Sample

#: So many series a metric has at most; what comes later counts under :data:`OTHER`.
MAX_SERIES = 300

OTHER = "other"

_MOST_CHARACTERS = 100


class Recorder:
    """The counters and histograms of one process. Any thread may call."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, _Counter] = {}
        self._histograms: dict[str, _Histogram] = {}
        for metric in metrics:
            match metric.kind:
                case Kind.COUNTER:
                    self._counters[metric.name] = _Counter(metric)
                case Kind.HISTOGRAM:
                    self._histograms[metric.name] = _Histogram(metric)
                case Kind.GAUGE:
                    raise ValueError(f"{metric.name} is a gauge, which is read and not recorded")

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Add ``by`` to a counter."""
        with self._lock:
            self._counters[metric.name].add(labels, by)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """Add a value to a histogram."""
        with self._lock:
            self._histograms[metric.name].add(labels, value)

    def families(self) -> list[Family]:
        """Return what was recorded up to now."""
        with self._lock:
            counters = [counter.family() for counter in self._counters.values()]
            return counters + [histogram.family() for histogram in self._histograms.values()]


class _Counter:
    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._values: dict[tuple[str, ...], int] = dict.fromkeys(_first_labels(metric), 0)

    def add(self, labels: tuple[str, ...], by: int) -> None:
        labels = _bounded(labels, self._values)
        self._values[labels] = self._values.get(labels, 0) + by

    def family(self) -> Family:
        return Family(self._metric, tuple(Sample(labels, value) for labels, value in self._values.items()))


class _Histogram:
    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._counts = {labels: self._nothing() for labels in _first_labels(metric)}
        self._sums = dict.fromkeys(self._counts, 0.0)

    def _nothing(self) -> list[int]:
        return [0] * (len(self._metric.buckets) + 1)

    def add(self, labels: tuple[str, ...], value: float) -> None:
        labels = _bounded(labels, self._counts)
        value = max(0.0, value)
        self._counts.setdefault(labels, self._nothing())[bisect_left(self._metric.buckets, value)] += 1
        self._sums[labels] = self._sums.get(labels, 0.0) + value

    def family(self) -> Family:
        distributions = (
            Distribution(labels, tuple(accumulate(counts)), self._sums[labels])
            for labels, counts in self._counts.items()
        )
        return Family(self._metric, distributions=tuple(distributions))


def _first_labels(metric: Metric) -> list[tuple[str, ...]]:
    return [(value,) for value in metric.known] if metric.labels else [()]


def _bounded(labels: tuple[str, ...], series: Mapping[tuple[str, ...], object]) -> tuple[str, ...]:
    """Return ``labels`` as they are counted: plain, short, and no further ones where there are many."""
    plain = tuple(map(label_value, labels))
    return plain if plain in series or len(series) < MAX_SERIES else (OTHER,) * len(labels)


def label_value(text: str) -> str:
    """Return ``text`` as the value of a label: of a long one its beginning, without what a terminal obeys."""
    return visible(text[:_MOST_CHARACTERS])


Labels = TypeVar("Labels", bound=tuple[str, ...])


def gauge(metric: Metric, values: Mapping[Labels, float]) -> Family:
    """Return a gauge with ``values`` by labels; of many, those beyond :data:`MAX_SERIES` are summed under other."""
    plain = [(tuple(map(label_value, labels)), value) for labels, value in values.items()]
    samples = [Sample(labels, value) for labels, value in plain[:MAX_SERIES]]
    rest: Sequence[float] = [value for _, value in plain[MAX_SERIES:]]
    return Family(metric, (*samples, *([Sample((OTHER,) * len(metric.labels), sum(rest))] if rest else [])))
