"""Inserts that skip or update existing rows."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, UniqueConstraint, create_engine, select

from launchd.server.store.upserts import insert_missing, insert_or_update

things = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("shelf", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("colour", String, nullable=False),
    Column("weight", Integer, nullable=False),
    UniqueConstraint("shelf", "name"),
)
KEYS = ("shelf", "name")


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as opened:
        things.create(opened)
        yield opened
    engine.dispose()


def row(name: str, colour: str, weight: int = 1) -> dict[str, object]:
    return {"shelf": 1, "name": name, "colour": colour, "weight": weight}


def kept(connection: Connection) -> list[tuple[str, str, int]]:
    found = connection.execute(select(things.c.name, things.c.colour, things.c.weight).order_by(things.c.name))
    return [(name, colour, weight) for name, colour, weight in found]


def test_what_is_there_stays(connection: Connection) -> None:
    assert insert_missing(connection, things, [row("a", "red"), row("b", "red")], keys=KEYS) == 2
    assert insert_missing(connection, things, [row("b", "blue"), row("c", "blue")], keys=KEYS) == 1
    assert insert_missing(connection, things, [row("b", "blue")], keys=KEYS) == 0
    assert kept(connection) == [("a", "red", 1), ("b", "red", 1), ("c", "blue", 1)]


def test_named_columns_take_the_new_values_and_others_do_not(connection: Connection) -> None:
    insert_missing(connection, things, [row("a", "red")], keys=KEYS)
    new = [row("a", "blue", 7), row("b", "blue", 7)]
    assert insert_or_update(connection, things, new, keys=KEYS, columns=["colour"]) == 2
    assert kept(connection) == [("a", "blue", 1), ("b", "blue", 7)]


def test_no_rows_are_no_mistake(connection: Connection) -> None:
    assert insert_missing(connection, things, [], keys=KEYS) == 0
    assert insert_or_update(connection, things, [], keys=KEYS, columns=["colour"]) == 0
