"""What a run spec may hold at most, and what a refusal says."""

from typing import Any

import pytest

from ipc import spec_limits
from ipc.errors import InvalidSpec
from ipc.spec_limits import MAX_CHARACTERS, MAX_DEPTH, MAX_DIGITS, MAX_VALUES, check_limits


def nested(depth: int) -> dict[str, Any]:
    """Return an object with ``depth`` objects in it, one in the other."""
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def refusal(raw: dict[str, Any]) -> str:
    with pytest.raises(InvalidSpec) as refused:
        check_limits(raw)
    return refused.value.message


@pytest.mark.parametrize(
    "raw",
    [
        {},
        nested(MAX_DEPTH - 1),
        {"a": 10**MAX_DIGITS - 1},
        {"a": -(10**MAX_DIGITS) + 1},
        {"a": [None, True, 1.5, -0.0, "ü"]},
        {"a": "x" * (MAX_CHARACTERS - 1)},
        {"a": [0] * (MAX_VALUES - 1)},
    ],
)
def test_what_is_within_the_limits_is_taken(raw: dict[str, Any]) -> None:
    check_limits(raw)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"a": {"b": [0, {"c": float("nan")}]}}, "a.b[1].c in the run spec is nan, which JSON cannot hold."),
        ({"a": float("-inf")}, "a in the run spec is -inf, which JSON cannot hold."),
        ({"a": 10**MAX_DIGITS}, f"a in the run spec is a number of more than {MAX_DIGITS} digits."),
        ({"a": -(10**5000)}, f"a in the run spec is a number of more than {MAX_DIGITS} digits."),
        ({"a": "b\0"}, "a in the run spec has a NUL character, which no process can be given."),
        ({"a\0": 1}, r"a\x00 in the run spec has a NUL character, which no process can be given."),
        ({"a": "b\ud800"}, "a in the run spec is not Unicode: it has half of a surrogate pair at 1."),
        ({"\udfff": 1}, r"\udfff in the run spec is not Unicode: it has half of a surrogate pair at 0."),
        ({"a": b"bytes"}, "a in the run spec is of the type bytes, which JSON cannot hold."),
        ({"a": "x" * MAX_CHARACTERS}, f"The texts of the run spec have more than {MAX_CHARACTERS:,} characters."),
        ({"a": [0] * MAX_VALUES}, f"The run spec has more than {MAX_VALUES:,} values."),
    ],
)
def test_what_is_not_is_refused_by_its_place(raw: dict[str, Any], sentence: str) -> None:
    assert refusal(raw) == sentence


@pytest.mark.parametrize("depth", [MAX_DEPTH, 100_000])
def test_depth_is_refused_at_any_depth(depth: int) -> None:
    sentence = refusal(nested(depth))
    assert sentence.endswith(f" in the run spec is nested more than {MAX_DEPTH} times.")
    assert len(sentence) < 2 * spec_limits._LONGEST_PLACE


def test_what_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {}
    ring["a"] = ring
    assert "nested" in refusal(ring)


def test_a_place_is_shown_in_characters_that_can_be_printed() -> None:
    sentence = refusal({"\x1b[2J\u202e\n": float("nan")})
    assert sentence.isprintable()
    assert r"\x1b[2J\u202e\n" in sentence
