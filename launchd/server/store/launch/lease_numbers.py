"""The counter of leases: each lease gets a number that no other one has had or will have.

With SQLite a row counts. In PostgreSQL a sequence does, so that claims do not wait for each other's transactions.
"""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, bindparam, select, text, update

from launchd.server.store.tables import server_state

_FURTHEST = 2**32
"""A number so far above the counter was never given: it is no sign of a restored database."""

_counted = server_state.c.lease_number
_TAKE_ROW = update(server_state).values(lease_number=_counted + bindparam("count")).returning(_counted)
_ROW = select(_counted)
_RAISE_ROW = update(server_state).where(_counted < bindparam("number")).values(lease_number=bindparam("number"))

_TAKE_SEQUENCE = text("SELECT nextval('run_queue_leases') FROM generate_series(1, :count)")
_SEQUENCE = text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM run_queue_leases")
_RAISE_SEQUENCE = text("SELECT setval('run_queue_leases', greatest(:number, last_value)) FROM run_queue_leases")


def take(connection: Connection, count: int) -> list[int]:
    """The next `count` numbers, which are at least 1 and increase."""
    return _TAKE[connection.dialect.name](connection, count)


def _take_from_row(connection: Connection, count: int) -> list[int]:
    last: int = connection.execute(_TAKE_ROW, {"count": count}).scalar_one()
    return list(range(last - count + 1, last + 1))


def _take_from_sequence(connection: Connection, count: int) -> list[int]:
    return list(connection.execute(_TAKE_SEQUENCE, {"count": count}).scalars())


_TAKE: Mapping[str, Callable[[Connection, int], list[int]]] = {
    "sqlite": _take_from_row,
    "postgresql": _take_from_sequence,
}


def highest(connection: Connection) -> int:
    """The last number given; 0 before the first one."""
    statement = _SEQUENCE if connection.dialect.name == "postgresql" else _ROW
    return int(connection.execute(statement).scalar_one())


def is_from_the_future(number: int, given: int) -> bool:
    """Whether a lease has a number above the `given` ones: the database was restored after it was given."""
    return given < number <= given + _FURTHEST


def raise_to(connection: Connection, number: int) -> None:
    """Give no number up to this one any more."""
    statement = _RAISE_SEQUENCE if connection.dialect.name == "postgresql" else _RAISE_ROW
    connection.execute(statement, {"number": number})
