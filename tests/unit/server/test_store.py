"""The store without HTTP, on each database: transactions, errors, and the peculiarities of each."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from launchd import __version__
from launchd.server.errors import CannotStart, Refused, StoreUnavailable
from launchd.server.notifier import Notifier, Waiter
from launchd.server.settings import ServerSettings
from launchd.server.store import postgresql
from launchd.server.store.database import READERS, Database, Lane
from launchd.server.store.factory import database_name, database_url, migration_transaction, open_database, open_pubsub
from launchd.server.store.migrate import migrate
from launchd.server.store.sqlite import open_engine
from launchd.server.store.tables import entities, projects
from tests.support.postgres import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.dialect

sqlite_only = pytest.mark.parametrize("empty", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("empty", ["postgresql"], indirect=True)


def add(name: str) -> Callable[[Connection], str]:
    def work(connection: Connection) -> str:
        connection.execute(insert(entities), {"name": name, "is_team": False})
        if name.startswith("bad"):
            raise ValueError(name)
        return name

    return work


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(entities.c.name).order_by(entities.c.name)).scalars())


def broken(connection: Connection) -> None:
    connection.execute(text("SELECT * FROM nowhere"))


def test_a_change_that_raises_takes_no_other_along(database: Database) -> None:
    async def run() -> list[str | BaseException]:
        works = [add(name) for name in ("a", "bad1", "b", "bad2", "c")]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    results = asyncio.run(run())
    assert [str(result) for result in results] == ["a", "bad1", "b", "bad2", "c"]
    assert asyncio.run(database.read(names)) == ["a", "b", "c"]


GUARDED_WAIT = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND NOT granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@postgresql_only
def test_a_claim_waits_for_one_exclusive_writer_and_not_for_all_of_them(database: Database) -> None:
    order = []
    at_work = threading.Event()

    def first(connection: Connection) -> None:
        at_work.set()
        wait_until(lambda: connection.execute(GUARDED_WAIT).scalar_one(), what="a claim that waits for this change")

    def alone(_: Connection) -> None:
        order.append("alone")

    def claim(_: Connection) -> None:
        order.append("claim")

    async def run() -> None:
        others = [asyncio.ensure_future(database.write(work)) for work in (first, *[alone] * 20)]
        await asyncio.to_thread(at_work.wait, 10.0)
        await asyncio.gather(database.write_guarded(claim), *others)

    asyncio.run(run())
    assert "claim" in order[:2]


def test_an_error_of_the_database_is_answered_with_a_sentence_and_passes(database: Database) -> None:
    for attempt in (database.write, database.write_guarded, database.read):
        with pytest.raises(StoreUnavailable, match=r"The queue server cannot (use|reach) its database at present"):
            asyncio.run(attempt(broken))
    assert asyncio.run(database.write(add("after"))) == "after"


def test_a_change_that_breaks_a_rule_is_refused_for_good_and_alone(database: Database) -> None:
    async def run() -> list[str | BaseException]:
        works = [add(name) for name in ("a", "a", "b")]
        return await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)

    results = asyncio.run(run())
    assert [type(result) for result in results].count(Refused) == 1
    assert asyncio.run(database.read(names)) == ["a", "b"]


def test_a_value_that_no_column_can_hold_is_refused(database: Database) -> None:
    with pytest.raises(Refused, match="a value that the database cannot store"):
        asyncio.run(
            database.read(lambda connection: connection.execute(select(projects.c.id).where(projects.c.id == 10**20)))
        )


def test_any_text_that_a_job_may_write_is_kept(database: Database) -> None:
    asyncio.run(database.write(add("a\0b \U0001f600 \N{REPLACEMENT CHARACTER}")))
    (kept,) = asyncio.run(database.read(names))
    assert (
        kept.replace("\0", "\N{REPLACEMENT CHARACTER}")
        == "a\N{REPLACEMENT CHARACTER}b \U0001f600 \N{REPLACEMENT CHARACTER}"
    )


def test_reading_sees_one_moment(database: Database) -> None:
    def twice(connection: Connection) -> tuple[list[str], list[str]]:
        before = names(connection)
        asyncio.run(database.write(add("new")))
        return before, names(connection)

    assert asyncio.run(database.read(twice)) == ([], [])
    assert asyncio.run(database.read(names)) == ["new"]


def test_a_reading_that_was_left_halfway_leaves_no_view_of_the_past(database: Database) -> None:
    kept = []

    def left(connection: Connection) -> None:
        # Kept beyond the transaction, as the traceback of an error keeps what its functions hold.
        rows = connection.execute(select(entities.c.name), execution_options={"yield_per": 1})
        kept.append(rows)
        next(iter(rows))
        raise ValueError("enough")

    async def run() -> list[list[str]]:
        await asyncio.gather(*(database.write(add(f"n{number}")) for number in range(3)))
        turns = [database.read(left) for _ in range(2 * READERS[Lane.USUAL])]
        assert {str(error) for error in await asyncio.gather(*turns, return_exceptions=True)} == {"enough"}
        await database.write(add("new"))
        return await asyncio.gather(*(database.read(names) for _ in range(2 * READERS[Lane.USUAL])))

    assert all("new" in found for found in asyncio.run(run()))


def test_what_was_submitted_is_done_before_closing(settings: ServerSettings) -> None:
    database = open_database(settings)

    async def run() -> list[str]:
        futures = [asyncio.ensure_future(database.write(add(f"n{number:03}"))) for number in range(300)]
        await asyncio.sleep(0)
        await asyncio.to_thread(database.close)
        return await asyncio.gather(*futures)

    assert len(asyncio.run(run())) == 300
    with migration_transaction(settings) as connection:
        assert len(names(connection)) == 300


@sqlite_only
def test_commits_are_fully_synchronous(settings: ServerSettings) -> None:
    engine = open_engine(settings.database_path, "BEGIN")
    with engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


@sqlite_only
def test_the_hot_queries_use_indexes(settings: ServerSettings) -> None:
    """A claim must not read a queue's history."""
    waiting = """EXPLAIN QUERY PLAN SELECT number FROM run_queue_items WHERE queue_id = 'q' AND is_scheduler = 0
        AND state = 'PENDING' ORDER BY priority, number LIMIT 5"""
    expired = "EXPLAIN QUERY PLAN SELECT number FROM run_queue_items WHERE state = 'LEASED' AND lease_ends_at <= 7"
    in_care = (
        "EXPLAIN QUERY PLAN SELECT id FROM run_queue_items WHERE agent_id = 'a' AND state IN ('LEASED', 'CLAIMED')"
    )
    with sqlite3.connect(settings.database_path) as connection:
        plans = [connection.execute(query).fetchall()[0][3] for query in (waiting, expired, in_care)]
        assert len(connection.execute(waiting).fetchall()) == 1, "no sorting"
    connection.close()
    assert "run_queue_items_waiting" in plans[0]
    assert "run_queue_items_leased" in plans[1]
    assert "run_queue_items_of_agent" in plans[2]


@postgresql_only
def test_plain_writing_is_done_by_one_at_a_time_on_all_servers(settings: ServerSettings, database: Database) -> None:
    """Reading first and then acting on it is safe, as in SQLite."""

    def count_up(connection: Connection) -> None:
        (name,) = names(connection)
        connection.execute(update(entities).values(name=str(int(name) + 1)))

    async def run(other: Database) -> None:
        await database.write(add("0"))
        await asyncio.gather(*(one.write(count_up) for one in (database, other) for _ in range(20)))

    other = open_database(settings)
    asyncio.run(run(other))
    other.close()
    assert asyncio.run(database.read(names)) == ["40"]


@postgresql_only
def test_guarded_writing_that_gets_in_the_way_of_another_is_done_again(database: Database) -> None:
    """Both find the name missing; one creates it, and the other finds it when repeated."""

    def ensure(connection: Connection) -> bool:
        if names(connection):
            return False
        connection.execute(text("SELECT pg_sleep(0.2)"))
        connection.execute(insert(entities), {"name": "a", "is_team": False})
        return True

    async def run() -> list[bool]:
        return await asyncio.gather(*(database.write_guarded(ensure) for _ in range(3)))

    assert sorted(asyncio.run(run())) == [False, False, True]


@postgresql_only
def test_a_deadlock_is_resolved(database: Database) -> None:
    def in_order(first: str, second: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            for name in (first, second):
                connection.execute(update(entities).where(entities.c.name == name).values(is_team=True))
                connection.execute(text("SELECT pg_sleep(0.1)"))

        return work

    async def run() -> None:
        await asyncio.gather(database.write(add("a")), database.write(add("b")))
        await asyncio.gather(database.write_guarded(in_order("a", "b")), database.write_guarded(in_order("b", "a")))

    asyncio.run(run())


@postgresql_only
def test_a_restart_of_the_database_is_survived(
    database: Database, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "launchd")
    asyncio.run(database.write(add("before")))
    cluster.stop()
    for attempt in (database.write, database.write_guarded, database.read):
        with pytest.raises(StoreUnavailable, match="cannot reach its database at present; try again later"):
            asyncio.run(attempt(names))
    cluster.start()
    assert asyncio.run(database.read(names)) == ["before"]
    assert asyncio.run(database.write(add("x"))) == "x"
    assert [record.getMessage() for record in caplog.records] == [
        "The database does not answer.",
        "The database answers again.",
    ], "each logged once"


@postgresql_only
def test_a_server_that_hangs_in_a_change_does_not_stop_the_others(settings: ServerSettings, database: Database) -> None:
    """PostgreSQL ends its transaction and rolls it back."""
    url = database_url(settings)
    assert url is not None
    engine = postgresql.open_engine(url)
    with pytest.raises(DBAPIError, match="idle-in-transaction timeout"), engine.begin() as hanging:  # noqa: PT012
        postgresql.take_lock(hanging, "exclusive")
        assert hanging.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "15s"
        hanging.exec_driver_sql("SET idle_in_transaction_session_timeout = '200ms'")
        add("lost")(hanging)
        assert asyncio.run(database.write(add("kept"))) == "kept"
        names(hanging)
    engine.dispose()
    assert asyncio.run(database.read(names)) == ["kept"]


def test_wake_ups_go_between_servers_only_where_they_share_a_database(empty: ServerSettings) -> None:
    assert (open_pubsub(empty, Notifier()) is None) == (empty.database is None)


@postgresql_only
def test_a_notification_that_cannot_be_read_wakes_everyone_and_ends_nothing(empty: ServerSettings) -> None:
    """Any program may send one on that database, and so may a later version."""

    async def run() -> None:
        here, there = Notifier(), Notifier()
        tasks = [open_pubsub(empty, notifier) for notifier in (here, there)]
        for task in tasks:
            assert task is not None
            task.start()
        with here.waiter(["topic"]) as waiter:
            await until_heard(there, waiter)
            waiter.clear()
            async with await psycopg.AsyncConnection.connect(empty.database or "", autocommit=True) as other_program:
                await other_program.execute("SELECT pg_notify('launchd_wakeups', '{}')")
            assert await waiter.notified_before(asyncio.get_running_loop().time() + 5.0)
            await until_heard(there, waiter)
        for task in tasks:
            assert task is not None
            task.stop()

    asyncio.run(run())


async def until_heard(notifier: Notifier, waiter: Waiter) -> None:
    """Have another server wake the waiter, which is woken once more when the connection is made."""
    loop = asyncio.get_running_loop()
    for _ in range(50):
        waiter.clear()
        notifier.wake_all(["topic"])
        if await waiter.notified_before(loop.time() + 0.2):
            return
    raise AssertionError("nothing was heard")


@postgresql_only
def test_a_password_is_never_shown(empty: ServerSettings) -> None:
    settings = ServerSettings(data_dir=empty.data_dir, database="postgresql://me:geheim@db.example/launchd")
    assert database_name(settings) == "postgresql://me:***@db.example/launchd"
    wrong = ServerSettings(data_dir=empty.data_dir, database="mysql://me:geheim@db.example/launchd")
    with pytest.raises(CannotStart) as refused:
        database_url(wrong)
    assert "geheim" not in str(refused.value)


def test_a_database_of_a_newer_server_is_refused(settings: ServerSettings) -> None:
    with migration_transaction(settings) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(
            CannotStart, match=f"here was written by launchd {__version__} .*Install that version or a later"
        ):
            migrate(connection, "here")


@sqlite_only
def test_a_migration_may_not_leave_a_row_that_refers_to_nothing(settings: ServerSettings) -> None:
    row = {"entity_id": 7, "name": "p", "folded_name": "p", "created_at": 0.0}
    with pytest.raises(CannotStart, match="A row of table projects refers to one of entities"):  # noqa: SIM117
        with migration_transaction(settings) as connection:
            connection.execute(insert(projects), row)
