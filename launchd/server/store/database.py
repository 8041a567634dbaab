"""The store's one door, whatever the database. Owns what it promises to those who come through; knows no table."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Insert

T = TypeVar("T")
Work = Callable[[Connection], T]
"""What is done in one transaction. It may be run again from its start, so it changes nothing but the database."""


class Database(Protocol):
    """`read` and `write` run a function of a connection in another thread.

    All raise `StoreUnavailable` when the database fails, `Refused` when it cannot keep what it was given, and otherwise
    whatever the function raised; a function that raised has changed nothing.
    """

    async def read(self, work: Work[T]) -> T:
        """What `work` returned, from a consistent view."""
        ...

    async def write(self, work: Work[T]) -> T:
        """What `work` returned; its changes are on disk by then. Nobody else writes meanwhile, on any server."""
        ...

    async def write_guarded(self, work: Work[T]) -> T:
        """As `write`, for work that may run beside others of its kind, on this server and others.

        Such work changes rows by statements that check, in their own WHERE, all that the change rests on.
        """
        ...

    def close(self) -> None:
        """Finish what was submitted, then close."""
        ...


def insert_row(connection: Connection, statement: Insert, row: Mapping[str, Any]) -> int:
    """Insert one row. Returns the number it got."""
    key = connection.execute(statement, row).inserted_primary_key
    return int(key[0]) if key else 0
