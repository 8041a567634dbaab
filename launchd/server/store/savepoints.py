"""Several changes in one transaction, each with its own outcome: what one brings does not touch the others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from launchd.server.errors import Refused
from launchd.server.store.db_errors import REFUSALS, refusal

T = TypeVar("T")
R = TypeVar("R")

_NAME = "item"
_UNIQUE_VIOLATION = "23505"


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what was changed inside when it raises."""
    connection.exec_driver_sql(f"SAVEPOINT {_NAME}")
    try:
        yield
    except Exception:
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_NAME}")
        connection.exec_driver_sql(f"RELEASE SAVEPOINT {_NAME}")
        raise
    connection.exec_driver_sql(f"RELEASE SAVEPOINT {_NAME}")


def each(
    connection: Connection,
    inputs: Sequence[T],
    change: Callable[[Connection, T], R],
    refused: Callable[[Connection, T, Refused], R],
) -> list[R]:
    """The result of `change` for each input; where that cannot be done, what `refused` makes of the reason.

    All together first, because a savepoint costs a turn to the database and hardly anything is refused.
    """
    try:
        with savepoint(connection):
            return [change(connection, given) for given in inputs]
    except (Refused, *REFUSALS) as error:
        _reraise_conflict(error)
    return [_alone(connection, given, change, refused) for given in inputs]


def _alone(
    connection: Connection,
    given: T,
    change: Callable[[Connection, T], R],
    refused: Callable[[Connection, T, Refused], R],
) -> R:
    try:
        with savepoint(connection):
            return change(connection, given)
    except Refused as error:
        reason = error
    except REFUSALS as error:
        _reraise_conflict(error)
        reason = refusal(error)
    return refused(connection, given, reason)


def _reraise_conflict(error: Exception) -> None:
    """On PostgreSQL another transaction may have inserted the same row: then the whole work is repeated."""
    if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _UNIQUE_VIOLATION:
        raise error
