"""The interface of the store: transactions that read and write, on either database."""

import enum
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Insert

T = TypeVar("T")
Work = Callable[[Connection], T]
"""The body of one transaction. It may be repeated from its start, so it changes nothing but the database."""


class Lane(enum.Enum):
    """Readings of one lane wait for each other, and not for those of another lane: each has threads of its own."""

    FIRST = enum.auto()
    """Authentication, signed links, and what changes read before they write: nothing that takes long."""
    USUAL = enum.auto()
    HEAVY = enum.auto()
    """What may take seconds: filters over many runs, histories, long lists."""


READERS: Mapping[Lane, int] = {Lane.FIRST: 2, Lane.USUAL: 2, Lane.HEAVY: 2}
"""Threads, each with a connection, of each lane."""


class Database(Protocol):
    """`read` and `write` run a function of a connection in another thread.

    All raise `StoreUnavailable` when the database fails, `Refused` when it cannot store a value, and otherwise the
    exception of the function; a function that raised has changed nothing.
    """

    async def read(self, work: Work[T], lane: Lane = Lane.USUAL) -> T:
        """Run `work` on a consistent view. Returns its result. May be called on any event loop."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run `work` while nothing else writes, on any server. Returns its result when its changes are on disk."""
        ...

    async def write_guarded(self, work: Work[T]) -> T:
        """As `write`, for work that may run beside other guarded work, on this server and others.

        Such work changes rows by statements whose own WHERE checks every condition of the change.
        """
        ...

    def close(self) -> None:
        """Finish the submitted work, then close."""
        ...


def insert_row(connection: Connection, statement: Insert, row: Mapping[str, Any]) -> int:
    """Insert one row. Returns its number."""
    key = connection.execute(statement, row).inserted_primary_key
    return int(key[0]) if key else 0
