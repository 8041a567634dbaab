"""GraphQL connections: pages of nodes with cursors. A cursor is a number; the size of a page is limited."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from launchd.server.store.ids import row_number

T = TypeVar("T")

MOST = 10_000
DEFAULT = 50


def size_of(first: int | None, default: int = DEFAULT, most: int = MOST) -> int:
    """Size of a page: as asked for, or the default, at most `most`."""
    return min(max(0, first if first is not None else default), most)


def start_of(after: str | None, default: int) -> int:
    """The number in a cursor; `default` for none, and for one that this server did not make."""
    number = row_number(after or "")
    return default if number is None else number


def connection_of(
    rows: Sequence[T], size: int, node: Callable[[T], Any], number: Callable[[T], int], total: int | None = None
) -> dict[str, Any]:
    """A page of `size` nodes; `rows` has one more where another page follows."""
    page = page_of(((number(row), node(row)) for row in rows[:size]), more=len(rows) > size)
    return page | {"total_count": len(rows) if total is None else total}


def page_of(nodes: Iterable[tuple[int, Any]], *, more: bool) -> dict[str, Any]:
    """A page of numbered nodes; `more`: another page follows."""
    edges = [{"node": node, "cursor": str(number)} for number, node in nodes]
    return {"edges": edges, "page_info": {"has_next_page": more, "end_cursor": edges[-1]["cursor"] if edges else None}}


def single_page(rows: Sequence[Any]) -> dict[str, Any]:
    """A short list in one page."""
    return page_of(enumerate(rows), more=False) | {"total_count": len(rows)}
