"""The store without HTTP: the writer's groups, migrations, hard guards in SQL."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select, text

from launchd.server.errors import CannotStart, StoreUnavailable
from launchd.server.store import migrate as migrations
from launchd.server.store.database import Database, open_engine
from launchd.server.store.migrate import NEWEST, migrate
from launchd.server.store.tables import entities, metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    database = tmp_path / "server.sqlite"
    migrate(database)
    return database


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database(path)
    yield opened
    opened.close()


def add(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(entities), {"name": name, "is_team": False})
        if name.startswith("bad"):
            raise ValueError(name)
        return name

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(entities.c.name).order_by(entities.c.name)).scalars())


def test_a_change_that_raises_takes_no_other_of_its_group_along(database: Database) -> None:
    async def run() -> list[str | BaseException]:
        works = [add(name) for name in ("a", "bad1", "b", "bad2", "c")]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    results = asyncio.run(run())
    assert [str(result) for result in results] == ["a", "bad1", "b", "bad2", "c"]
    assert asyncio.run(database.read(names)) == ["a", "b", "c"]


def test_an_error_of_the_database_fails_its_group_and_not_the_next(database: Database) -> None:
    def broken(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM nowhere"))

    with pytest.raises(StoreUnavailable, match="cannot use its database"):
        asyncio.run(database.write(broken))
    with pytest.raises(StoreUnavailable):
        asyncio.run(database.read(broken))
    assert asyncio.run(database.write(add("after"))) == "after"


def test_what_was_submitted_is_done_before_closing(path: Path) -> None:
    database = Database(path)

    async def run() -> list[str]:
        futures = [asyncio.ensure_future(database.write(add(f"n{number:03}"))) for number in range(300)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        return await asyncio.gather(*futures)

    assert len(asyncio.run(run())) == 300
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM entities").fetchone() == (300,)
    connection.close()


def test_commits_are_fully_synchronous(path: Path) -> None:
    engine = open_engine(path, "BEGIN")
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(path: Path) -> None:
    engine = open_engine(path, "BEGIN")
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_migration_back_and_forth_keeps_what_there_was(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            INSERT INTO entities VALUES (1, 'me', 0);
            INSERT INTO users (id, name, email, admin, is_service, default_entity_id) VALUES (1, 'me', '', 1, 0, 1);
            INSERT INTO memberships VALUES (1, 1, 3);
            INSERT INTO api_keys (user_id, digest, description, role, created_at) VALUES (1, 'd', 'k', 2, 1.0);
        """)
    connection.close()
    alter(path, "downgrade", "0001")
    alter(path, "upgrade", "head")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT role FROM memberships").fetchall() == [(3,)]
        assert connection.execute("SELECT digest, role FROM api_keys").fetchall() == [("d", 3)]
        assert connection.execute("SELECT name, is_service FROM users").fetchall() == [("me", 0)]
    connection.close()
    test_the_migrations_make_exactly_the_tables_that_the_code_knows(path)


def alter(path: Path, direction: str, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    engine = open_engine(path, "BEGIN IMMEDIATE")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, direction)(config, target)
    engine.dispose()


def test_the_version_that_skips_alembic_is_the_newest() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent / "migrations")).get_heads() == [NEWEST]


def test_a_database_of_a_newer_server_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(CannotStart, match="was written by a newer queue server"):
        migrate(path)


def test_the_hot_queries_use_indexes(path: Path) -> None:
    """A claim must not read a queue's history."""
    waiting = """EXPLAIN QUERY PLAN SELECT number FROM run_queue_items WHERE queue_id = 'q' AND is_scheduler = 0
        AND state = 'PENDING' ORDER BY priority, number LIMIT 5"""
    expired = "EXPLAIN QUERY PLAN SELECT number FROM run_queue_items WHERE state = 'LEASED' AND lease_ends_at <= 7"
    in_care = (
        "EXPLAIN QUERY PLAN SELECT id FROM run_queue_items WHERE agent_id = 'a' AND state IN ('LEASED', 'CLAIMED')"
    )
    with sqlite3.connect(path) as connection:
        plans = [connection.execute(query).fetchall()[0][3] for query in (waiting, expired, in_care)]
        assert len(connection.execute(waiting).fetchall()) == 1, "no sorting"
    connection.close()
    assert "run_queue_items_waiting" in plans[0]
    assert "run_queue_items_leased" in plans[1]
    assert "run_queue_items_of_agent" in plans[2]
