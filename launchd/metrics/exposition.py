"""Metrics as Prometheus reads them. Needs its library (the extra `metrics`); only what serves metrics loads this."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as PrometheusMetric
from prometheus_client.registry import Collector

from launchd.metrics.model import Family, Kind


def rendered(families: Iterable[Family], accept: str = "") -> tuple[bytes, str]:
    """Return ``families`` in the format that ``accept``, an HTTP header, asks for, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(list(families)))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector(Collector):
    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def describe(self) -> Iterable[PrometheusMetric]:
        """Say nothing beforehand."""
        return ()

    def collect(self) -> Iterator[PrometheusMetric]:
        """Yield the families in the library's own terms."""
        for family in self._families:
            match family.metric.kind:
                case Kind.HISTOGRAM:
                    yield _histogram(family)
                case _:
                    yield _values(family)


def _values(family: Family) -> PrometheusMetric:
    metric = family.metric
    make = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    made = make(metric.name, metric.help, labels=metric.labels)
    for sample in family.samples:
        made.add_metric(sample.labels, sample.value)
    return made


def _histogram(family: Family) -> PrometheusMetric:
    metric = family.metric
    made = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    bounds = [*map(str, metric.buckets), "+Inf"]
    for one in family.distributions:
        made.add_metric(one.labels, list(zip(bounds, map(float, one.counts), strict=True)), one.sum)
    return made
