"""The store in a SQLite file: one writer thread that commits in groups, and a few reader threads for each lane.

SQLite allows one writer at a time, and a durable commit costs an fsync. So changes that arrive during a commit share
the next transaction, each in its own savepoint, and are answered after it. The event loop waits for none of it.
"""

import asyncio
import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from ipc.boot_clock import boot_seconds
from launchd.server.errors import CannotStart
from launchd.server.store import clock
from launchd.server.store.database import READERS, Lane, Work
from launchd.server.store.db_errors import REFUSALS, refusal, unusable
from launchd.server.store.open_cursors import closed_cursors, note_cursors

logger = logging.getLogger(__name__)

T = TypeVar("T")
_Waiting = tuple[Work[Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]

_GROUP = 128


def open_engine(path: Path, begin: str, *, foreign_keys: bool = True) -> Engine:
    """An engine on the SQLite file `path` whose transactions start with the statement `begin`."""
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": 10.0, "check_same_thread": False},
        poolclass=QueuePool,
        # As many as there are threads, of which each has one at a time.
        pool_size=sum(READERS.values()),
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver's own handling of transactions breaks savepoints.
        connection.isolation_level = None
        keys = f"foreign_keys={'ON' if foreign_keys else 'OFF'}"
        for pragma in ("journal_mode=WAL", "synchronous=FULL", keys, "cache_size=-8192"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_function(clock.FUNCTION, 0, boot_seconds)

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def check_foreign_keys(connection: Connection) -> None:
    """Check all foreign keys, for a transaction in which they were not enforced.

    Raises:
        CannotStart: a row refers to one that does not exist.
    """
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise CannotStart(f"A row of table {broken[0]} refers to one of {broken[2]} that does not exist.")


class SqliteDatabase:
    """A `Database` in one file that no other process writes."""

    def __init__(self, path: Path) -> None:
        self._reading = open_engine(path, "BEGIN")
        note_cursors(self._reading)
        self._readers = {
            lane: ThreadPoolExecutor(threads, f"store-read-{lane.name.lower()}") for lane, threads in READERS.items()
        }
        self._writer = _Writer(open_engine(path, "BEGIN IMMEDIATE"))

    async def read(self, work: Work[T], lane: Lane = Lane.USUAL) -> T:
        """Run `work` on a consistent view. Returns its result."""
        return await asyncio.get_running_loop().run_in_executor(self._readers[lane], self._read, work)

    async def write(self, work: Work[T]) -> T:
        """Run `work`. Returns its result when its changes are on disk."""
        return await self._writer.submit(work)

    async def write_guarded(self, work: Work[T]) -> T:
        """As `write`, because there is only one writer."""
        return await self._writer.submit(work)

    def close(self) -> None:
        """Finish the submitted work, then close."""
        self._writer.close()
        for readers in self._readers.values():
            readers.shutdown()
        self._reading.dispose()

    def _read(self, work: Work[T]) -> T:
        try:
            with self._reading.begin() as connection, closed_cursors(connection):
                return work(connection)
        except REFUSALS as error:
            raise refusal(error) from error
        except DBAPIError as error:
            logger.error("The database cannot be read.", extra={"error": str(error.orig)})
            raise unusable() from error


class _Writer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    def submit(self, work: Work[T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put((work, future, loop))
        return future

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _run(self) -> None:
        while group := self._next_group():
            _answer(group, self._commit([work for work, _, _ in group]))

    def _next_group(self) -> list[_Waiting]:
        first = self._queue.get()
        group: list[_Waiting] = []
        while first is not None:
            group.append(first)
            if len(group) == _GROUP or self._queue.empty():
                return group
            first = self._queue.get()
        # `close` was called: what came before it is still done, and its mark is put back for the next call.
        if group:
            self._queue.put(None)
        return group

    def _commit(self, works: list[Work[Any]]) -> list[Any]:
        """Results in order; an exception in place of a result is for its caller."""
        try:
            with self._engine.begin() as connection:
                return [_in_savepoint(connection, work) for work in works]
        except DBAPIError as error:
            logger.error("The database cannot be written.", extra={"error": str(error.orig), "changes": len(works)})
            self._engine.dispose()
            return [unusable()] * len(works)


def _in_savepoint(connection: Connection, work: Work[Any]) -> Any:
    # SQLAlchemy's own savepoints cost more than most of the work does.
    connection.exec_driver_sql("SAVEPOINT piece")
    try:
        result = work(connection)
    except REFUSALS as error:
        connection.exec_driver_sql("ROLLBACK TO piece")
        result = refusal(error)
    except DBAPIError:
        # SQLite may have rolled back everything: the whole group fails.
        raise
    except Exception as error:  # noqa: BLE001 - raised in the caller of this piece of work
        connection.exec_driver_sql("ROLLBACK TO piece")
        result = error
    connection.exec_driver_sql("RELEASE piece")
    return result


def _answer(group: list[_Waiting], results: list[Any]) -> None:
    loop = group[0][2]
    futures = [future for _, future, _ in group]
    try:
        loop.call_soon_threadsafe(_resolve, futures, results)
    except RuntimeError:
        # The loop is closed, so no caller waits any more.
        logger.info("A change was committed after its caller left.", extra={"changes": len(futures)})


def _resolve(futures: "list[asyncio.Future[Any]]", results: list[Any]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():
            continue
        if isinstance(result, BaseException):
            future.set_exception(result)
        else:
            future.set_result(result)
