"""Filters on runs in MongoDB's syntax, as W&B's clients send them, compiled to predicates.

Operators: $and $or $nor $not, $eq $ne $gt $gte $lt $lte $in $nin $exists $regex, and a bare value for equality. A value
compared with a list (tags) is compared with its members. Values of different kinds are never less or greater.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec
import re2

from launchd.server.errors import Refused
from launchd.server.runs.field_access import TEXTS, TIMES, column_of, time_of


class FieldSource(Protocol):
    """What a filter is applied to: values by path, None where there is none."""

    def value(self, path: str) -> Any:
        """The value at a path."""
        ...


Predicate = Callable[[FieldSource], bool]
_Test = Callable[[Any], bool]

_LONGEST = 1024 * 1024
_DEEPEST = 20
_MOST_CONDITIONS = 1000
_LONGEST_PATTERN = 1000
_MOST_PATTERNS = 20
"""Each run costs microseconds for each of them, with everything else of the server waiting for the same processor."""
_FEW = 1000
"""Up to this many values, the database can compare a column with them."""


def read_filter(text: str | None) -> Mapping[str, Any]:
    """The filter in `text`; {} matches everything.

    Raises:
        Refused: not a JSON object, or a very long one.
    """
    if text and len(text) > _LONGEST:
        raise Refused(f"The filter has {len(text)} characters; at most {_LONGEST} are taken.")
    try:
        given = msgspec.json.decode(text) if text else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(f"The filter is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise Refused("The filter must be a JSON object.")
    return given


def predicate(given: Mapping[str, Any]) -> Predicate:
    """The predicate of a filter.

    Raises:
        Refused: an operator is unknown, or the filter is too big.
    """
    return _Compiler().all_of(given, 0)


def equalities(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """Columns of text that must have one of some values, by the filter's outer conditions. A cheap selection in SQL."""
    found: dict[str, list[str]] = {}
    for path, wanted in given.items():
        if path == "$and" and isinstance(wanted, list):
            for part in wanted:
                if isinstance(part, dict):
                    found |= equalities(part)
        elif (column := column_of(path)) in TEXTS and (values := _equal_to(wanted)) is not None:
            found[column] = values
    return found


def _equal_to(wanted: Any) -> list[str] | None:
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, dict) and len(wanted) == 1:
        values = wanted.get("$in", [wanted["$eq"]] if "$eq" in wanted else None)
        if isinstance(values, list) and len(values) < _FEW and all(isinstance(value, str) for value in values):
            return values
    return None


class _Compiler:
    def __init__(self) -> None:
        self._conditions = 0
        self._patterns = 0

    def all_of(self, given: Any, depth: int) -> Predicate:
        if not isinstance(given, dict):
            raise Refused("Each part of a filter must be an object.")
        if depth > _DEEPEST:
            raise Refused(f"The filter is nested more than {_DEEPEST} levels deep.")
        self._count()
        parts = [self._part(key, wanted, depth) for key, wanted in given.items()]
        return lambda fields: all(part(fields) for part in parts)

    def _count(self) -> None:
        self._conditions += 1
        if self._conditions > _MOST_CONDITIONS:
            raise Refused(f"The filter has more than {_MOST_CONDITIONS} conditions.")

    def _part(self, key: str, wanted: Any, depth: int) -> Predicate:
        self._count()
        if key == "$not":
            inner = self.all_of(wanted, depth + 1)
            return lambda fields: not inner(fields)
        if key in _GROUPS:
            if not isinstance(wanted, list):
                raise Refused(f"{key} in a filter needs a list.")
            return _GROUPS[key]([self.all_of(part, depth + 1) for part in wanted])
        if key.startswith("$"):
            raise Refused(f"{key[:40]!r} is no operator of filters that this server knows.")
        return self._condition(key, wanted, depth)

    def _condition(self, path: str, wanted: Any, depth: int) -> Predicate:
        test = self._test(wanted, depth, as_time=column_of(path) in TIMES)
        return lambda fields: test(fields.value(path))

    def _test(self, wanted: Any, depth: int, *, as_time: bool) -> _Test:
        if not isinstance(wanted, dict) or not any(key.startswith("$") for key in wanted):
            return _equals(time_of(wanted) if as_time else wanted)
        if depth > _DEEPEST:
            raise Refused(f"The filter is nested more than {_DEEPEST} levels deep.")
        tests = [self._operator(name, operand, depth, as_time=as_time) for name, operand in wanted.items()]
        return lambda value: all(test(value) for test in tests)

    def _operator(self, name: str, operand: Any, depth: int, *, as_time: bool) -> _Test:
        if name == "$not":
            inner = self._test(operand, depth + 1, as_time=as_time)
            return lambda value: not inner(value)
        if name not in _OPERATORS:
            raise Refused(f"{name[:40]!r} is no operator of filters that this server knows.")
        if name == "$regex":
            self._count_pattern()
        return _OPERATORS[name](_times(operand) if as_time else operand)

    def _count_pattern(self) -> None:
        self._patterns += 1
        if self._patterns > _MOST_PATTERNS:
            raise Refused(
                f"The filter has more than {_MOST_PATTERNS} patterns ($regex): join them as one|other, or use $in for"
                " exact values."
            )


def _times(operand: Any) -> Any:
    return [time_of(one) for one in operand] if isinstance(operand, list) else time_of(operand)


_GROUPS: Mapping[str, Callable[[list[Predicate]], Predicate]] = {
    "$and": lambda parts: lambda fields: all(part(fields) for part in parts),
    "$or": lambda parts: lambda fields: any(part(fields) for part in parts),
    "$nor": lambda parts: lambda fields: not any(part(fields) for part in parts),
}


def _equals(wanted: Any) -> _Test:
    # 1 and true are different values in a filter, though not in Python.
    kind = type(wanted) is bool

    def test(value: Any) -> bool:
        if isinstance(value, list) and not isinstance(wanted, list):
            return wanted in value
        return (type(value) is bool) == kind and bool(value == wanted)

    return test


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[Any], _Test]:
    def make(wanted: Any) -> _Test:
        return lambda value: any(_kind(one) == _kind(wanted) and compare(one, wanted) for one in _members(value))

    return make


def _kind(value: Any) -> type | None:
    return float if isinstance(value, int | float) else str if isinstance(value, str) else None


def _members(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if _kind(one) is not None]


def _one_of(wanted: Any) -> _Test:
    if not isinstance(wanted, list):
        raise Refused("$in and $nin in a filter need a list.")
    plain = frozenset(_typed(one) for one in wanted if _is_plain(one))
    tests = [_equals(one) for one in wanted if not _is_plain(one)]
    if len(tests) > _MOST_CONDITIONS:
        raise Refused(f"$in and $nin in a filter take at most {_MOST_CONDITIONS} lists and objects.")

    def test(value: Any) -> bool:
        members = value if isinstance(value, list) else [value]
        # Independent of the length of the list: clients send long lists of runs.
        found = any(_typed(one) in plain for one in members if _is_plain(one))
        return found or any(test(value) for test in tests)

    return test


def _is_plain(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _typed(value: Any) -> tuple[bool, Any]:
    return type(value) is bool, value


def _negated(make: Callable[[Any], _Test]) -> Callable[[Any], _Test]:
    def negated(wanted: Any) -> _Test:
        test = make(wanted)
        return lambda value: not test(value)

    return negated


def _exists(wanted: Any) -> _Test:
    return lambda value: (value is not None) == bool(wanted)


def _matches(pattern: Any) -> _Test:
    """RE2 takes time in proportion to the text, for any pattern."""
    if not isinstance(pattern, str) or len(pattern) > _LONGEST_PATTERN:
        raise Refused(f"$regex in a filter needs text of at most {_LONGEST_PATTERN} characters.")
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options=options)
    except re2.error as error:
        raise Refused(f"{pattern[:80]!r} is no regular expression that this server can use.") from error
    return lambda value: any(isinstance(one, str) and compiled.search(one) is not None for one in _members(value))


_OPERATORS: Mapping[str, Callable[[Any], _Test]] = {
    "$eq": _equals,
    "$ne": _negated(_equals),
    "$gt": _compare(operator.gt),
    "$gte": _compare(operator.ge),
    "$lt": _compare(operator.lt),
    "$lte": _compare(operator.le),
    "$in": _one_of,
    "$nin": _negated(_one_of),
    "$exists": _exists,
    "$regex": _matches,
}
