"""Sort orders of runs as W&B's clients write them: `+created_at`, `-summary_metrics.loss`."""

from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any, NamedTuple

from launchd.server.errors import Refused

_MOST_KEYS = 10


class OrderKey(NamedTuple):
    """One path to sort by."""

    path: str
    descending: bool


def parse_order(text: str | None) -> list[OrderKey]:
    """The keys, the most important first; a key without a sign is ascending.

    Raises:
        Refused: too many keys.
    """
    keys = [key.strip() for key in (text or "").split(",") if key.strip("+- ")]
    if len(keys) > _MOST_KEYS:
        raise Refused(f"Runs can be ordered by at most {_MOST_KEYS} keys.")
    return [OrderKey(key.lstrip("+-"), key.startswith("-")) for key in keys]


def sort_key(keys: Sequence[OrderKey]) -> Any:
    """Key function for `sorted` over lists of values, one per order key. A missing value always comes last."""
    signs = [-1 if key.descending else 1 for key in keys]

    def compare(one: Sequence[Any], other: Sequence[Any]) -> int:
        for sign, left, right in zip(signs, one, other, strict=True):
            order = _compare(left, right, sign)
            if order:
                return order
        return 0

    return cmp_to_key(compare)


def _compare(left: Any, right: Any, sign: int) -> int:
    ranks = _rank(left), _rank(right)
    if ranks[0] != ranks[1]:
        return -1 if ranks[0] < ranks[1] else 1
    if ranks[0] == _NO_ORDER or left == right:
        return 0
    return -sign if left < right else sign


_NO_ORDER = 2


def _rank(value: Any) -> int:
    """Rank of a value's kind: numbers, texts, values without an order (NaN among them)."""
    if isinstance(value, int | float):
        return 0 if value == value else _NO_ORDER
    return 1 if isinstance(value, str) else _NO_ORDER
