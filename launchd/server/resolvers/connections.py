"""GraphQL connections: a page of things with cursors. Owns the limits of a page and the form of a cursor, a number."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 10_000
DEFAULT = 50
HIGHEST = 2**31 - 1
"""The highest number of a row."""


def size_of(first: int | None, default: int = DEFAULT) -> int:
    """How many things a page is to have."""
    return min(max(0, first if first is not None else default), MOST)


def start_of(after: str | None, default: int) -> int:
    """The number in a cursor; `default` for none, and for what is none of ours."""
    return min(int(after), HIGHEST) if after and after.isascii() and after.isdecimal() and len(after) <= 18 else default


def connection_of(
    rows: Sequence[T], size: int, node: Callable[[T], Any], number: Callable[[T], int], total: int | None = None
) -> dict[str, Any]:
    """A page of `size` things; of `rows` one more than that is there where another page follows."""
    edges = [{"node": node(row), "cursor": str(number(row))} for row in rows[:size]]
    end = edges[-1]["cursor"] if edges else None
    return {
        "edges": edges,
        "page_info": {"has_next_page": len(rows) > size, "end_cursor": end},
        "total_count": len(rows) if total is None else total,
    }


def whole(rows: Sequence[T], node: Callable[[T], Any]) -> dict[str, Any]:
    """All of a short list, in one page."""
    numbers = {id(row): number for number, row in enumerate(rows)}
    return connection_of(rows, len(rows), node, lambda row: numbers[id(row)])
