"""A server with a team and everything that it has, and what others' requests did to it.

It reads the rows of the database from its file, so it needs SQLite.
"""

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
class Snapshot:
    rows: Rows
    references: dict[str, list[tuple[int, str]]]
    """Per table the places of columns that refer to another one, which they name."""

    @classmethod
    def of(cls, database: Path) -> "Snapshot":
        with closing(sqlite3.connect(database)) as connection:
            wanted = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            tables = [name for (name,) in connection.execute(wanted)]
            made = cls({}, {})
            for table in tables:
                made._read(connection, table)
            return made

    def _read(self, connection: sqlite3.Connection, table: str) -> None:
        described = connection.execute(f"PRAGMA table_info({table})").fetchall()
        columns = [column[1] for column in described]
        key = [place for place, column in enumerate(described) if column[5]]
        foreign = connection.execute(f"PRAGMA foreign_key_list({table})").fetchall()
        self.references[table] = [(columns.index(named[3]), named[2]) for named in foreign]
        kept = ", ".join("NULL" if column in IN_PASSING else column for column in columns)
        for row in connection.execute(f"SELECT {kept} FROM {table}"):
            self.rows[table, tuple(row[place] for place in key)] = row

    def changes_of(self, theirs: Rows, before: "Snapshot") -> list[str]:
        """What was done to `theirs`: rows of them that changed or went, and new rows that refer to them."""
        harmed = [f"{table} {key}" for (table, key), row in theirs.items() if self.rows.get((table, key)) != row]
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

    def snapshot(self) -> Snapshot:
        return Snapshot.of(self.server.data_dir / "server.sqlite")


@contextmanager
def setting(directory: Path) -> Iterator[Isolation]:
    """A scene on a server of its own, with data below `directory`."""
    # Nothing of it changes by the time alone, however long the tests take.
    options = ("--lease-seconds", "86400", "--run-timeout-seconds", "86400")
    with running_server(directory, *options) as server, make_accounts(server) as accounts:
        before = Snapshot.of(server.data_dir / "server.sqlite").rows
        victim = Tenant(accounts)
        victim.build()
        _, looking = accounts.member(victim.entity, "VIEWER")
        after = Snapshot.of(server.data_dir / "server.sqlite").rows
        theirs = {key: row for key, row in after.items() if key not in before}
        yield Isolation(server, accounts, victim, theirs, looking)


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
