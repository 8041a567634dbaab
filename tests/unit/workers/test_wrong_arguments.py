"""What is wrong with resource args is said with the place, the right type and what to do."""

from typing import Any

import msgspec
import pytest

from workers.wrong_arguments import wrong_arguments


class Inner(msgspec.Struct):
    count: int | None = None
    values: dict[str, str] = {}


class Args(msgspec.Struct):
    inner: Inner
    names: list[str] = []
    on: bool = False


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"inner": 1}, "args.inner must be an object, and is a whole number."),
        ({"inner": {"count": "1"}}, "args.inner.count must be a whole number or null, and is text."),
        (
            {"inner": {"values": {"a": 1}}},
            "args.inner.values, each of its values, must be text, and is a whole number.",
        ),
        ({"inner": {}, "names": "a"}, "args.names must be a list, and is text."),
        ({"inner": {}, "names": [["a"]]}, "args.names[0] must be text, and is a list."),
        ({"inner": {}, "on": "yes"}, "args.on must be true or false, and is text."),
        ({}, "Something is wrong in args: Object missing required field `inner`."),
        ([], "args must be an object, and is a list."),
    ],
)
def test_the_place_and_the_type_are_said(given: Any, sentence: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert(given, Args)

    said = wrong_arguments("args", error.value)

    assert said.message == sentence
    assert said.hint == "Correct it in the queue's configuration, or in the job's resource args."
