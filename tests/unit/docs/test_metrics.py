"""Alert rules, dashboard and page speak of metrics that exist, by labels that these have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from launchd.agent.measures import METRICS as AGENT_METRICS
from launchd.metrics.model import Kind, Metric
from launchd.server.measures import METRICS as SERVER_METRICS
from tests.support.parts import missing_part

ROOT = Path(__file__).parents[3]
RULES = ROOT / "packaging" / "prometheus" / "launchd.rules.yml"
RULE_TESTS = RULES.with_name("launchd.test.yml")
DASHBOARD = ROOT / "packaging" / "grafana" / "launchd.json"
PAGE = ROOT / "docs" / "metrics.md"

#: Where `tests/parts/promtool.sh` puts it.
PROMTOOL = "/var/cache/launchd-promtool/promtool"

METRICS = {metric.name: metric for metric in (*AGENT_METRICS, *SERVER_METRICS)}

#: What Prometheus itself adds to each series.
TARGET_LABELS = {"instance", "job"}

NAME = re.compile(r"\blaunchd_(?:agent|server)_[a-z_]+(?:\{(?P<matchers>[^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
GROUPED = re.compile(r"\bby \((?P<labels>[^)]*)\)")


def sampled(metric: Metric) -> set[str]:
    """The names of a metric's samples."""
    suffixes = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
    return {f"{metric.name}{suffix}" for suffix in suffixes}


SAMPLES = {name: metric for metric in METRICS.values() for name in sampled(metric)}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def dashboard_expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", ()))


EXPRESSIONS = [*(rule["expr"] for rule in rules()), *dashboard_expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_what_exists(expression: str) -> None:
    used = [(match[0].partition("{")[0], match["matchers"] or "") for match in NAME.finditer(expression)]
    labels = {*TARGET_LABELS, "le"}
    for name, matchers in used:
        assert name in SAMPLES
        known = {*TARGET_LABELS, *SAMPLES[name].labels}
        assert set(MATCHER.findall(matchers)) <= known
        labels |= known
    for match in GROUPED.finditer(expression):
        assert {label.strip() for label in match["labels"].split(",")} <= labels
    assert used or expression.startswith("up{")


def test_every_metric_is_on_the_page_and_none_that_does_not_exist() -> None:
    named = set(re.findall(r"`(launchd_(?:agent|server)_[a-z_]+)`", PAGE.read_text()))

    assert named == set(METRICS)


def test_every_metric_is_on_the_dashboard_but_for_those_that_only_name() -> None:
    shown = {
        SAMPLES[match[0].partition("{")[0]].name for text in dashboard_expressions() for match in NAME.finditer(text)
    }

    assert set(METRICS) - shown == {
        "launchd_agent_info",
        "launchd_agent_start_time_seconds",
        "launchd_server_info",
    }


def test_an_alert_says_what_happened_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)


def test_the_dashboard_is_complete() -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    boxes = [panel["gridPos"] for panel in panels()]
    assert all(box["x"] + box["w"] <= 24 for box in boxes)
    for panel in panels():
        assert panel["title"]
        assert panel["type"] == "row" or all(target["expr"] for target in panel["targets"])


def promtool() -> str:
    found = shutil.which("promtool") or (PROMTOOL if Path(PROMTOOL).exists() else None)
    if found is None:
        missing_part("There is no promtool here (as root on Debian: tests/parts/promtool.sh)")
    return found


def run(*words: str) -> str:
    done = subprocess.run([promtool(), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_accepts_the_rules_and_they_do_what_they_say() -> None:
    assert f"{len(rules())} rules found" in run("check", "rules", str(RULES))
    run("test", "rules", str(RULE_TESTS))


def test_prometheus_accepts_the_expressions_of_the_dashboard(tmp_path: Path) -> None:
    intervals = {"$__rate_interval": "5m", "$instance": ".*"}
    records = []
    for number, expression in enumerate(dashboard_expressions()):
        for variable, value in intervals.items():
            expression = expression.replace(variable, value)  # noqa: PLW2901
        records.append({"record": f"panel:{number}", "expr": expression})
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))

    assert f"{len(records)} rules found" in run("check", "rules", str(tmp_path / "panels.yml"))
