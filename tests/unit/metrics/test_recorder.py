"""Counting within bounds, and what Prometheus' own parser reads of it."""

import json
import math

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from launchd.agent.measures import METRICS as AGENT_METRICS
from launchd.metrics.exposition import rendered
from launchd.metrics.model import Family, Kind, Metric
from launchd.metrics.recorder import MAX_SERIES, OTHER, Recorder, gauge, label_value
from launchd.server.measures import METRICS as SERVER_METRICS

ENDED = Metric("launchd_test_ended_total", Kind.COUNTER, "Ends.", ("queue",))
CAUSES = Metric("launchd_test_causes_total", Kind.COUNTER, "Causes.", ("cause",), known=("one", "two"))
TIMES = Metric("launchd_test_seconds", Kind.HISTOGRAM, "Times.", buckets=(0.1, 1.0))
STATE = Metric("launchd_test_state", Kind.GAUGE, "State.", ("queue", "state"))


def read(families: list[Family]) -> dict[tuple[str, tuple[str, ...]], float]:
    """The samples as Prometheus' parser has them, by name and the values of their labels."""
    text = rendered(families)[0].decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_counted_is_read_back() -> None:
    recorder = Recorder([ENDED, CAUSES, TIMES])
    recorder.count(ENDED, "default")
    recorder.count(ENDED, "default", by=2)
    for value in (0.05, 0.1, 0.5, 7.0):
        recorder.observe(TIMES, value)

    seen = read(recorder.families())

    assert seen[("launchd_test_ended_total", ("default",))] == 3
    assert seen[("launchd_test_causes_total", ("one",))] == seen[("launchd_test_causes_total", ("two",))] == 0
    buckets = {labels[0]: value for (name, labels), value in seen.items() if name == "launchd_test_seconds_bucket"}
    assert buckets == {"0.1": 2, "1.0": 3, "+Inf": 4}
    assert (seen[("launchd_test_seconds_count", ())], seen[("launchd_test_seconds_sum", ())]) == (4, 7.65)


def test_a_metric_has_so_many_series_at_most() -> None:
    recorder = Recorder([ENDED])
    for number in range(MAX_SERIES + 50):
        recorder.count(ENDED, f"queue-{number}")
    recorder.count(ENDED, "queue-1")

    seen = read(recorder.families())

    assert len(seen) == MAX_SERIES + 1
    assert seen[("launchd_test_ended_total", (OTHER,))] == 50
    assert seen[("launchd_test_ended_total", ("queue-1",))] == 2


def test_a_gauge_of_too_many_values_sums_the_rest() -> None:
    family = gauge(STATE, {(f"queue-{number}", "running"): 1.0 for number in range(MAX_SERIES + 50)})

    assert len(family.samples) == MAX_SERIES + 1
    assert (family.samples[-1].labels, family.samples[-1].value) == ((OTHER, OTHER), 50)


def test_the_text_of_a_label_is_short_and_plain() -> None:
    assert label_value("a\x1b[2J\n" + "b" * 500) == "a\\x1b[2J\\n" + "b" * 94
    seen = read([gauge(STATE, {('quo"te\\', "line\nbreak"): 1.0})])
    assert list(seen) == [("launchd_test_state", ('quo"te\\', "line\\nbreak"))]


def test_a_gauge_is_not_recorded() -> None:
    with pytest.raises(ValueError, match="is a gauge"):
        Recorder([STATE])


def test_openmetrics_is_served_to_those_who_ask() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    text, content_type = rendered([gauge(STATE, {("q", "s"): 1.0})], accept)

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_figures_cross_from_process_to_process() -> None:
    recorder = Recorder([ENDED, TIMES])
    recorder.observe(TIMES, 0.5)
    families = [*recorder.families(), gauge(STATE, {("q", "s"): math.inf})]

    crossed = msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(families))), list[Family])

    assert crossed == families


@pytest.mark.parametrize("metric", [*AGENT_METRICS, *SERVER_METRICS], ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: Metric) -> None:
    assert metric.name.startswith(("launchd_agent_", "launchd_server_"))
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    if metric.kind is Kind.HISTOGRAM:
        assert metric.name.endswith("_seconds")
    # Ids of items, runs and jobs would make a series for each.
    assert not {"item", "run", "job", "user", "project", "le", "pid"} & set(metric.labels)
    assert metric.help.endswith(".")
