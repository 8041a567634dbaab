"""What a metric is, and what is known of it at one moment. Pure data, which also crosses from process to process."""

from enum import StrEnum

import msgspec

#: Upper bounds of histograms of time, in seconds: from a pickup to a long build.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

#: For what takes as long as people and jobs do.
LONG_SECONDS = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)


class Kind(StrEnum):
    """The types of Prometheus that are used."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(msgspec.Struct, frozen=True):
    """A metric by its full name. ``help`` is a sentence.

    ``buckets`` are the upper bounds of a histogram, without the infinite one. ``known`` are the values of the one label
    that are there from the start: an increase from nothing would not be seen.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[str, ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """A value of a counter or gauge, for these values of the labels."""

    labels: tuple[str, ...]
    value: float


class Distribution(msgspec.Struct, frozen=True):
    """What a histogram has seen: how many up to each bound, the infinite one last, and the sum of all."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    sum: float


class Family(msgspec.Struct, frozen=True):
    """A metric with its values at one moment."""

    metric: Metric
    samples: tuple[Sample, ...] = ()
    distributions: tuple[Distribution, ...] = ()
