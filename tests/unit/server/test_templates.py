"""Template variables of a queue."""

import pytest

from launchd.server.errors import Refused
from launchd.server.templates import fill_in

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
