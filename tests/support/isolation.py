"""A server with a team and everything that it has, and what others' requests did to it.

It reads the rows of the database from its file, so it needs SQLite.
"""

import functools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_required_argument,
)

from tests.support.accounts import Accounts, make_accounts
from tests.support.field_args import SCHEMA
from tests.support.server import Api, RunningServer, running_server
from tests.support.tenant import Tenant, call

IN_PASSING = {"last_used_at", "used_key"}
"""Columns that every request may change."""

Rows = dict[tuple[str, object], tuple[object, ...]]


@dataclass(frozen=True)
class _Table:
    """How a table is read."""

    name: str
    query: str
    key: list[int]
    """Places of the columns of its primary key."""
    references: list[tuple[int, str]]
    """Places of the columns that refer to another table, which they name."""

    @classmethod
    def of(cls, connection: sqlite3.Connection, name: str) -> "_Table":
        described = connection.execute(f"PRAGMA table_info({name})").fetchall()
        columns = [column[1] for column in described]
        foreign = connection.execute(f"PRAGMA foreign_key_list({name})").fetchall()
        kept = ", ".join("NULL" if column in IN_PASSING else column for column in columns)
        return cls(
            name,
            f"SELECT {kept} FROM {name}",
            [place for place, column in enumerate(described) if column[5]],
            [(columns.index(named[3]), named[2]) for named in foreign],
        )


class Reader:
    """Reads all rows of a server's database, from its file; once for as long as the server commits nothing."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(database)
        wanted = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        names = [name for (name,) in self._connection.execute(wanted)]
        self._tables = [_Table.of(self._connection, name) for name in names]
        self._version: int | None = None
        self._snapshot = Snapshot({}, {})

    def close(self) -> None:
        self._connection.close()

    def snapshot(self) -> "Snapshot":
        """Return the rows of now."""
        # Another number after each commit of anybody else, and before the rows: what is committed between is read.
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._snapshot = Snapshot(self._read(), {table.name: table.references for table in self._tables})
            self._version = version
        return self._snapshot

    def _read(self) -> Rows:
        return {
            (table.name, tuple(row[place] for place in table.key)): row
            for table in self._tables
            for row in self._connection.execute(table.query)
        }


@dataclass(frozen=True)
class Snapshot:
    rows: Rows
    references: dict[str, list[tuple[int, str]]]
    """Per table the places of columns that refer to another one, which they name."""

    def changes_of(self, theirs: Rows, before: "Snapshot") -> list[str]:
        """What was done to `theirs` since: rows of them that changed or went, and new rows that refer to them."""
        changed = (at for at in theirs if self.rows.get(at) != before.rows.get(at))
        harmed = [f"{table} {key}" for table, key in changed]
        keys = {(table, row[0]) for (table, _), row in theirs.items() if row}
        for (table, key), row in self.rows.items():
            if (table, key) in before.rows:
                continue
            harmed += [
                f"a new row of {table} refers to {other} {row[place]}"
                for place, other in self.references[table]
                if (other, row[place]) in keys
            ]
        return harmed


@dataclass(frozen=True)
class Isolation:
    """A team, everything it has, and the rows of that."""

    server: RunningServer
    accounts: Accounts
    victim: Tenant
    theirs: Rows
    looking: Api
    """A member of the team who may only look."""
    reader: Reader

    def snapshot(self) -> Snapshot:
        return self.reader.snapshot()


@contextmanager
def setting(directory: Path) -> Iterator[Isolation]:
    """A scene on a server of its own, with data below `directory`."""
    # Nothing of it changes by the time alone, however long the tests take.
    options = ("--lease-seconds", "86400", "--run-timeout-seconds", "86400")
    with (
        running_server(directory, *options) as server,
        make_accounts(server) as accounts,
        closing(Reader(server.data_dir / "server.sqlite")) as reader,
    ):
        before = reader.snapshot().rows
        victim = Tenant(accounts)
        victim.build()
        _, looking = accounts.member(victim.entity, "VIEWER")
        after = reader.snapshot().rows
        theirs = {key: row for key, row in after.items() if key not in before}
        yield Isolation(server, accounts, victim, theirs, looking, reader)


@functools.cache
def selection(kind: GraphQLNamedType, depth: int = 4, above: frozenset[str] = frozenset()) -> str:
    """Everything that can be asked for without arguments, each type once on the way down."""
    if isinstance(kind, GraphQLUnionType):
        return "{ __typename }"
    if not isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        return ""
    parts = ["__typename"]
    for name, field in kind.fields.items():
        below = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()) or below.name in above:
            continue
        if not is_composite_type(below):
            parts.append(name)
        elif depth > 1:
            parts.append(f"{name} {selection(below, depth - 1, above | {kind.name})}")
    return f"{{ {' '.join(parts)} }}"


def ask(api: Api, field: str, arguments: dict[str, Any]) -> str:
    kind, _, name = field.partition(".")
    found = (SCHEMA.query_type if kind == "Query" else SCHEMA.mutation_type).fields[name]  # type: ignore[union-attr]
    types = {argument: str(told.type) for argument, told in found.args.items()}
    return call(api, kind.lower(), name, arguments, types, selection(get_named_type(found.type)))
