"""The limits of a run spec: what a submitter's JSON may hold at most, so that it can be kept, read back and handed on.

Owns depth, number and length; which key is of which type is `ipc.run_spec`'s business.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ipc.errors import InvalidSpec
from ipc.visible_text import visible

#: The most objects and lists within each other, the run spec itself counted. Readers of JSON end at some hundreds.
MAX_DEPTH = 100

#: The most values in a run spec, those within others counted.
MAX_VALUES = 100_000

#: The most characters of all texts in a run spec, keys among them.
MAX_CHARACTERS = 4 * 1024 * 1024

#: The most digits of a whole number: beyond that, JSON's readers disagree, and Python refuses 4,301.
MAX_DIGITS = 300

#: The most characters of a place in a sentence.
_LONGEST_PLACE = 120

_TOO_LARGE = 10**MAX_DIGITS


class _Place(NamedTuple):
    """A value's place: the place of what holds it, and its key or number there; ``depth`` counts from 0."""

    parent: "_Place | None" = None
    step: str | int = ""
    depth: int = 0

    def inner(self, step: str | int) -> "_Place":
        return _Place(self, step, self.depth + 1)

    def __str__(self) -> str:
        """Return the place as people write it: ``overrides.args[2]``."""
        steps: list[str] = []
        place: _Place | None = self
        while place is not None and place.parent is not None:
            steps.append(f"[{place.step}]" if isinstance(place.step, int) else f".{place.step}")
            place = place.parent
        return shown("".join(reversed(steps)).removeprefix(".")) or "the whole"


def check_limits(raw: Mapping[str, Any]) -> None:
    """Check that ``raw``, a run spec, stays within the limits, and holds nothing that JSON cannot.

    Raises:
        InvalidSpec: naming the place, and what is wrong there.
    """
    values = characters = 0
    waiting: list[tuple[_Place, Any]] = [(_Place(), raw)]
    while waiting:
        place, holder = waiting.pop()
        if place.depth == MAX_DEPTH:
            raise _refusal(f"{place} in the run spec is nested more than {MAX_DEPTH} times.")
        values += len(holder)
        if values > MAX_VALUES:
            raise _refusal(f"The run spec has more than {MAX_VALUES:,} values.")
        for step, value in _steps(holder):
            characters += _checked_length(place, step, value)
            if isinstance(value, dict | list):
                waiting.append((place.inner(step), value))
        if characters > MAX_CHARACTERS:
            raise _refusal(f"The texts of the run spec have more than {MAX_CHARACTERS:,} characters.")


def _steps(holder: Any) -> Iterable[tuple[str | int, Any]]:
    return holder.items() if isinstance(holder, Mapping) else enumerate(holder)


def shown(text: str) -> str:
    """Return a text of the submitter's for a sentence: in characters that can be printed, and cut in its middle."""
    plain = visible(text[: 10 * _LONGEST_PLACE])
    if len(plain) <= _LONGEST_PLACE:
        return plain
    return f"{plain[: _LONGEST_PLACE // 2]}...{plain[-_LONGEST_PLACE // 2 :]}"


def _checked_length(place: _Place, step: str | int, value: Any) -> int:
    """Return the number of characters of one value of ``place`` with its key, without what it holds."""
    problem = _problem(value) or (isinstance(step, str) and _problem_of_text(step))
    if problem:
        raise _refusal(f"{place.inner(step)} in the run spec {problem}")
    return (len(step) if isinstance(step, str) else 0) + (len(value) if isinstance(value, str) else 0)


def _problem(value: Any) -> str | None:
    match value:
        case None | bool() | dict() | list():
            return None
        case str():
            return _problem_of_text(value)
        case int():
            return None if abs(value) < _TOO_LARGE else f"is a number of more than {MAX_DIGITS} digits."
        case float():
            return None if math.isfinite(value) else f"is {value}, which JSON cannot hold."
        case _:
            return f"is of the type {type(value).__name__}, which JSON cannot hold."


def _problem_of_text(text: str) -> str | None:
    if "\0" in text:
        return "has a NUL character, which no process can be given."
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"is not Unicode: it has half of a surrogate pair at {error.start}."
    return None


def _refusal(sentence: str) -> InvalidSpec:
    return InvalidSpec(sentence, hint="Correct it and launch again.")
