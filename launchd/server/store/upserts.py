"""Inserts that skip or update existing rows (ON CONFLICT), on either database.

SQLite and PostgreSQL share the meaning; SQLAlchemy has the statement per dialect only.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Statement = sqlite.Insert | postgresql.Insert

_INSERT: Mapping[str, type[Statement]] = {"sqlite": sqlite.Insert, "postgresql": postgresql.Insert}


def insert_missing(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, keys: Sequence[str]
) -> int:
    """Insert the rows whose `keys` no existing row has. Returns how many were inserted.

    `keys` are the columns of a primary key or a unique constraint of the table. All rows name the same columns.
    """
    return _execute(connection, _ignoring(connection.dialect.name, table, tuple(keys)), rows)


def insert_or_update(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    keys: Sequence[str],
    columns: Sequence[str],
) -> int:
    """Insert the rows; an existing row with the same `keys` gets the new values of `columns`. Returns how many rows.

    No two of the rows may have the same keys.
    """
    return _execute(connection, _updating(connection.dialect.name, table, tuple(keys), tuple(columns)), rows)


def _execute(connection: Connection, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> int:
    if not rows:
        return 0
    # Without the option psycopg loses the row count.
    return connection.execute(statement, list(rows), execution_options={"preserve_rowcount": True}).rowcount


@lru_cache
def _ignoring(dialect: str, table: Table, keys: tuple[str, ...]) -> Statement:
    return _INSERT[dialect](table).on_conflict_do_nothing(index_elements=keys)


@lru_cache
def _updating(dialect: str, table: Table, keys: tuple[str, ...], columns: tuple[str, ...]) -> Statement:
    statement = _INSERT[dialect](table)
    changes = {column: statement.excluded[column] for column in columns}
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)
