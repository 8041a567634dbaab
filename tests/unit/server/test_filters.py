"""Filters and orders of runs, without a database."""

import json
import time
from typing import Any

import pytest

from launchd.server.errors import Refused
from launchd.server.models import Run
from launchd.server.runs.field_access import RunFields
from launchd.server.runs.filters import equalities, predicate, read_filter
from launchd.server.runs.sorting import OrderKey, parse_order, sort_key
from launchd.server.store.runs.lists import in_time

RUN = Run(
    id=1,
    project_id=1,
    project_name="p",
    entity_name="me",
    name="abc",
    display_name="bold-comet-1",
    author_id=None,
    state="finished",
    stopped=False,
    created_at=1_700_000_000.0,
    heartbeat_at=None,
    exit_code=0,
    group_name="g1",
    job_type=None,
    sweep_id=3,
    sweep_agent_id="a1",
    sweep_name="swp",
    host=None,
    commit_hash=None,
    tags='["a", "b"]',
    history_lines=0,
    inherited_lines=0,
    event_lines=0,
    console_lines=0,
    description=None,
    notes=None,
    config='{"lr": {"value": 0.1}, "model": {"value": {"width": 3}}, "a.b": {"value": 1}, "on": {"value": true}}',
    summary='{"loss": 0.5, "eval": {"acc": 0.9}, "bad": NaN}',
    history_keys='{"keys": {"loss": {"counts": {"number": 2}}}}',
)


@pytest.mark.parametrize(
    ("given", "through"),
    [
        ({}, True),
        ({"state": "finished"}, True),
        ({"state": {"$in": ["failed", "crashed"]}}, False),
        ({"state": {"$ne": "finished"}}, False),
        ({"displayName": {"$regex": "^bold"}}, True),
        ({"display_name": {"$regex": "^comet"}}, False),
        ({"group": "g1", "jobType": None}, True),
        ({"$and": [{"sweep": "swp"}]}, True),
        ({"sweep": None}, False),
        ({"tags": "a"}, True),
        ({"tags": {"$in": ["c", "b"]}}, True),
        ({"tags": {"$nin": ["c"]}}, True),
        ({"config.lr": 0.1}, True),
        ({"config.lr.value": {"$lt": 0.1}}, False),
        ({"config.model.width": 3}, True),
        ({"config.model.value.width": {"$gte": 3, "$lte": 3}}, True),
        ({"config.a.b": 1}, True),
        ({"config.on": True}, True),
        ({"config.on": 1}, False),
        ({"config.on": {"$in": [1, [], {}]}}, False),
        ({"config.model": {"$in": [1, {"width": 3}]}}, True),
        ({"config.none": {"$exists": False}}, True),
        ({"summary_metrics.loss": {"$gt": 0.4}}, True),
        ({"summary_metrics.loss": {"$gt": "0.4"}}, False),
        ({"summary_metrics.eval.acc": {"$not": {"$lt": 0.5}}}, True),
        ({"keys_info.keys.loss": {"$exists": True}}, True),
        ({"createdAt": {"$gt": "2023-01-01", "$lt": "2024-01-01T00:00:00Z"}}, True),
        ({"created_at": {"$gt": "2024-01-01T00:00:00+00:00"}}, False),
        ({"$or": [{"state": "failed"}, {"name": "abc"}]}, True),
        ({"$and": [{"state": "finished"}, {"name": "x"}]}, False),
        ({"$nor": [{"state": "failed"}, {"name": "x"}]}, True),
        ({"$not": {"state": "finished"}}, False),
    ],
)
def test_a_filter(given: dict[str, Any], through: bool) -> None:
    assert predicate(read_filter(json.dumps(given)))(RunFields(RUN)) is through


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"state": {"$where": "1"}}', "'\\$where' is no operator"),
        ('{"$expr": {}}', "'\\$expr' is no operator"),
        ('{"$or": {}}', r"\$or in a filter needs a list"),
        ('{"$and": [1]}', "must be an object"),
        ('{"state": {"$in": "x"}}', "need a list"),
        ('{"state": {"$regex": "("}}', "is no regular expression"),
        ('{"state": {"$regex": 1}}', "needs text"),
        ('{"$not": ' * 30 + "{}" + "}" * 30, "nested more than 20"),
        ('{"a": ' + '{"$not": ' * 30 + "1" + "}" * 31, "nested more than 20"),
        (json.dumps({"$and": [{"a": 1}] * 1001}), "more than 1000 conditions"),
        (json.dumps({"$and": [{}] * 1001}), "more than 1000 conditions"),
        (json.dumps({"a": {"$in": [[]] * 1001}}), "at most 1000 lists and objects"),
    ],
)
def test_a_filter_that_cannot_be_used_says_why(text: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        predicate(read_filter(text))


def test_a_costly_pattern_costs_nothing() -> None:
    run = RunFields(RUN)
    assert predicate({"name": {"$regex": "(a|a|b|c)*(a|a|b|c)*$"}})(run)
    assert not predicate({"displayName": {"$regex": "(.*)*(.*)*x$"}})(run)


def test_a_long_list_costs_no_more_than_a_short_one() -> None:
    started = time.monotonic()
    wanted = predicate({"config.lr": {"$in": list(range(200_000))}})
    assert [wanted(RunFields(RUN)) for _ in range(1000)] == [False] * 1000
    assert time.monotonic() - started < 5


def test_a_walk_that_takes_too_long_is_refused() -> None:
    assert list(in_time([1, 2])) == [1, 2]
    with pytest.raises(Refused, match="took more than 0 s"):
        list(in_time([1], seconds=0))


def test_the_quick_choice_takes_only_what_must_hold() -> None:
    given = {"$and": [{"state": "failed"}, {"jobType": {"$in": ["a", "b"]}}], "$or": [{"name": "x"}]}
    more = {"createdAt": "2024-01-01", "config.lr": "x", "group": {"$ne": "g"}, "tags": "t"}
    assert equalities({**given, **more}) == {"state": ["failed"], "job_type": ["a", "b"]}


def test_an_order_has_missing_values_last_in_both_directions() -> None:
    assert parse_order("-summary_metrics.loss, +created_at") == [
        OrderKey("summary_metrics.loss", descending=True),
        OrderKey("created_at", descending=False),
    ]
    values: list[list[Any]] = [[None], [2], ["x"], [1.5], [float("nan")]]
    upwards = sorted(values, key=sort_key([OrderKey("a", descending=False)]))
    downwards = sorted(values, key=sort_key([OrderKey("a", descending=True)]))
    assert upwards[:3] == [[1.5], [2], ["x"]]
    assert downwards[:3] == [[2], [1.5], ["x"]]
