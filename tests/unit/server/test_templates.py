"""Template variables of a queue."""

import pytest

from launchd.server.errors import Refused
from launchd.server.launch.templates import check_declarations, fill_in, undeclared

VARIABLES = {
    "mem": {"schema": {"type": "string", "default": "1g", "enum": ["1g", "2g"]}},
    "gpus": {"schema": {"type": "integer", "default": 1, "minimum": 0, "maximum": 8}},
    "share": {"schema": {"type": "number", "default": 0.5}},
}


def test_a_placeholder_alone_keeps_the_type_of_its_value() -> None:
    filled = fill_in({"a": "{{gpus}}", "b": "{{ share }}", "c": ["x={{mem}}"], "d": {"e": 1}}, VARIABLES, {"gpus": 4})
    assert filled == {"a": 4, "b": 0.5, "c": ["x=1g"], "d": {"e": 1}}


def test_placeholders_of_no_variable_are_left_alone() -> None:
    assert fill_in({"a": "{{other}} ${run_id}"}, {}, {}) == {"a": "{{other}} ${run_id}"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gpus": 9}, "at most 8"),
        ({"gpus": -1}, "at least 0"),
        ({"gpus": "4"}, "of type integer"),
        ({"gpus": True}, "of type integer"),
        ({"gpus": 1.5}, "of type integer"),
        ({"mem": "3g"}, "one of"),
        ({"memory": "1g"}, "no template variable 'memory'; it has: gpus, mem, share"),
    ],
)
def test_values_outside_their_schema_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(Refused, match=message):
        fill_in({}, VARIABLES, values)


@pytest.mark.parametrize("declared", [{}, {"schema": None}, {"schema": {"type": "string"}}, "nonsense", None])
def test_a_variable_without_default_needs_a_value(declared: object) -> None:
    with pytest.raises(Refused, match="no default"):
        fill_in({"a": "{{x}}"}, {"x": declared}, {})
    assert fill_in({"a": "{{x}}"}, {"x": declared}, {"x": "v"}) == {"a": "v"}


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    assert repr(fill_in({"a": "{{gpus}}"}, VARIABLES, {"gpus": 4.0})) == "{'a': 4}"


def test_only_values_are_filled_in() -> None:
    filled = fill_in({"{{gpus}}": "{{mem}} of {{ gpus }}"}, VARIABLES, {})
    assert filled == {"{{gpus}}": "1g of 1"}


def test_declarations_that_are_fine() -> None:
    check_declarations(VARIABLES)
    check_declarations({"a": {"schema": {"type": "integer", "minimum": None, "default": None, "enum": None}}})
    check_declarations({"a": {"schema": {}}, "b-c.d": {"schema": {"default": [1]}}})


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("nonsense", "as an object with the key 'schema'"),
        ({}, "as an object with the key 'schema'"),
        ({"schema": []}, "as an object with the key 'schema'"),
        ({"schema": {"type": "boolean"}}, "cannot be of type 'boolean'; there are: string, integer, number"),
        ({"schema": {"type": ["string"]}}, "cannot be of type"),
        ({"schema": {"type": "string", "enum": "ab"}}, "must be a list"),
        ({"schema": {"type": "string", "enum": []}}, "must be a list"),
        ({"schema": {"type": "string", "enum": ["a", 1]}}, "of type string, not 1"),
        ({"schema": {"type": "string", "minimum": 1}}, "The minimum of template variable 'x' must be a number"),
        ({"schema": {"type": "number", "maximum": "1"}}, "The maximum of template variable 'x' must be a number"),
        ({"schema": {"minimum": 1}}, "as its type must be"),
        ({"schema": {"type": "number", "minimum": 2, "maximum": 1}}, "No value of template variable 'x'"),
        ({"schema": {"type": "integer", "default": "1"}}, "of type integer, not '1'"),
        ({"schema": {"type": "integer", "default": 9, "maximum": 8}}, "at most 8, not 9"),
        ({"schema": {"type": "string", "default": "c", "enum": ["a"]}}, "must be one of"),
    ],
)
def test_declarations_that_no_value_fits_are_refused(declared: object, message: str) -> None:
    with pytest.raises(Refused, match=message):
        check_declarations({"x": declared})


@pytest.mark.parametrize("name", ["", "1a", "a b", "a}}"])
def test_a_name_that_no_placeholder_can_have_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="is no name for a template variable"):
        check_declarations({name: {"schema": {}}})


def test_placeholders_of_no_variable_are_named() -> None:
    config = {"resource_args": {"x": ["{{gpus}} {{other}}", {"y": "{{mem}}"}, 7]}}
    assert undeclared(config, VARIABLES) == [
        "{{other}} is no template variable of this queue; it stays in the configuration."
    ]
