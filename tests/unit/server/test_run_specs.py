"""The normal form of run specs, and how the queue's configuration is merged under the submitter's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launchd.server.errors import Refused
from launchd.server.launch.run_specs import check_config, check_priority, is_scheduler, merge, normalise
from launchd.server.models import ResourceConfig
from launchd.server.resolvers.json_args import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def config(args: dict[str, object]) -> ResourceConfig:
    return ResourceConfig(id=1, resource="local-process", config={"resource_args": args}, template_variables={})


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_the_submitter_wins_key_by_key(
    below: dict[str, object], above: dict[str, object], merged: dict[str, object]
) -> None:
    assert merge(below, above) == merged


@given(OBJECTS, OBJECTS)
def test_merging_loses_nothing_the_submitter_said(below: dict[str, object], above: dict[str, object]) -> None:
    once = merge(below, above)
    assert once.keys() == below.keys() | above.keys()
    assert merge(once, above) == once


@given(OBJECTS)
def test_merging_with_nothing_changes_nothing(value: dict[str, object]) -> None:
    assert merge(value, {}) == merge({}, value) == value


def test_null_parts_become_objects_and_the_resource_is_filled_in() -> None:
    spec = {"overrides": None, "resource_args": None, "resource": None, "project": "p"}
    filled = normalise(spec, config({"local-process": {"x": 1}}), {})
    assert filled == {
        "overrides": {},
        "resource_args": {"local-process": {"x": 1}},
        "resource": "local-process",
        "project": "p",
    }


def test_a_resource_that_was_given_is_kept() -> None:
    assert normalise({"resource": "fake"}, config({}), {})["resource"] == "fake"


@pytest.mark.parametrize("resource", [7, ["fake"], {"a": 1}])
def test_a_resource_that_is_not_text_is_refused(resource: object) -> None:
    with pytest.raises(Refused, match="resource in the run spec must be text"):
        normalise({"resource": resource}, None, {})


def test_values_in_the_spec_itself_count_less_and_stay_for_another_push() -> None:
    queue = ResourceConfig(
        id=1,
        resource="fake",
        config={"resource_args": {"fake": {"a": "{{a}}", "b": "{{b}}"}}},
        template_variables={"a": {"schema": {}}, "b": {"schema": {}}},
    )
    first = normalise({"template_variables": {"a": 1, "b": 1}}, queue, {"b": 2})
    assert first["resource_args"] == {"fake": {"a": 1, "b": 2}}
    assert normalise(first, queue, {}) == first


def test_placeholders_of_the_submitter_are_left_alone() -> None:
    queue = ResourceConfig(id=1, resource="fake", config={}, template_variables={"a": {"schema": {"default": 1}}})
    spec = {"resource_args": {"fake": {"x": "{{a}}"}}, "overrides": {"args": ["{{a}}"]}}
    filled = normalise(spec, queue, {})
    assert (filled["resource_args"], filled["overrides"]) == (spec["resource_args"], spec["overrides"])


def test_values_for_a_queue_without_variables_are_refused() -> None:
    with pytest.raises(Refused, match="The queue has no template variable 'a'; it has: none"):
        normalise({}, None, {"a": 1})


@pytest.mark.parametrize("value", [[1], 7, {"fake": 7}, {"fake": []}])
def test_a_configuration_that_no_spec_can_be_merged_with_is_refused(value: object) -> None:
    with pytest.raises(Refused, match="of a queue must be an object"):
        check_config({"resource_args": value})


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Refused, match="nested too deeply"):
        parse_object('{"a":' * 100_000, "runSpec")
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(Refused, match="nested too deeply"):
        normalise({"resource_args": deep}, config(deep), {})


def test_a_queue_without_configuration_adds_nothing() -> None:
    assert normalise({}, None, {}) == {"overrides": {}, "resource_args": {}, "resource": None}


@pytest.mark.parametrize("key", ["overrides", "resource_args"])
def test_a_part_of_another_type_is_refused_by_name(key: str) -> None:
    with pytest.raises(Refused, match=f"{key} in the run spec must be an object, not "):
        normalise({key: [1]}, None, {})


@pytest.mark.parametrize(("text", "value"), [(None, {}), ("", {}), ("null", {}), ('{"a": 1}', {"a": 1})])
def test_json_objects_are_read(text: str | None, value: dict[str, object]) -> None:
    assert parse_object(text, "runSpec") == value


@pytest.mark.parametrize("text", ["[", "[1]", "1", '"x"', "{'a': 1}"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="runSpec"):
        parse_object(text, "runSpec")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("placeholder-uri-scheduler", True), ("placeholder-uri-scheduler-2", True), ("git", False), (None, False)],
)
def test_schedulers_are_known_by_their_uri(uri: str | None, expected: bool) -> None:
    assert is_scheduler({"uri": uri}) is expected


@pytest.mark.parametrize(("priority", "by_priority", "result"), [(None, False, 2), (2, False, 2), (0, True, 0)])
def test_priorities_that_are_fine(priority: int | None, by_priority: bool, result: int) -> None:
    assert check_priority(priority, by_priority=by_priority, default=2) == result


@pytest.mark.parametrize(("priority", "by_priority"), [(0, False), (-1, True), (4, True)])
def test_priorities_that_are_not(priority: int, by_priority: bool) -> None:
    with pytest.raises(Refused):
        check_priority(priority, by_priority=by_priority, default=2)
