"""The store in PostgreSQL, for many hosts and several servers.

Two kinds of writing are separated by an advisory lock that ends with its transaction. Plain writing holds it
exclusively, so it finds the same conditions as in SQLite: nothing else writes, on any server. Guarded writing (claims,
acknowledgements, reports: most of all writes) shares it and runs in parallel. Where two such transactions conflict
nevertheless, the one that PostgreSQL aborts is repeated under the exclusive lock, where it cannot fail for that reason.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from psycopg.abc import Buffer
from psycopg.types.string import StrDumper
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from launchd.server.store.database import READERS, Lane, Work
from launchd.server.store.db_errors import REFUSALS, Reachability, refusal
from launchd.server.store.open_cursors import closed_cursors, note_cursors

T = TypeVar("T")

_WRITERS = 4
_CONNECT_SECONDS = 5

# The key of the advisory lock, the same for every server on a database.
_LOCK_KEY = 0x6C61756E
LockMode = Literal["exclusive", "shared"]
_TAKE_LOCK: dict[LockMode, str] = {
    "exclusive": f"SELECT pg_advisory_xact_lock({_LOCK_KEY})",
    "shared": f"SELECT pg_advisory_xact_lock_shared({_LOCK_KEY})",
}

# Serialization failure, deadlock, unique violation by a concurrent insert.
_RETRYABLE = frozenset({"40001", "40P01", "23505"})

_SESSION = {
    "application_name": "launchd server",
    "connect_timeout": _CONNECT_SECONDS,
    # A server that hangs or has lost its network must not hold its locks, because the others wait for them.
    "options": "-c idle_in_transaction_session_timeout=15s -c lock_timeout=20s -c statement_timeout=60s"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
# Migrations create tables and copy rows, which may take long.
_SESSION_WITHOUT_TIMEOUTS = {"application_name": "launchd server", "connect_timeout": _CONNECT_SECONDS}


class _TextDumper(StrDumper):
    """Replaces U+0000, which PostgreSQL's text cannot hold and a job's output may contain, by U+FFFD."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def open_engine(url: URL, *, reading: bool = False, timeouts: bool = True) -> Engine:
    """An engine that writes or, if `reading`, only reads a consistent view; without `timeouts`, for long statements."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=_SESSION if timeouts else _SESSION_WITHOUT_TIMEOUTS,
        isolation_level="REPEATABLE READ" if reading else "READ COMMITTED",
        pool_size=sum(READERS.values()) if reading else _WRITERS,
        max_overflow=0,
        pool_timeout=_CONNECT_SECONDS,
        # PostgreSQL may have been restarted since the last request.
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.adapters.register_dumper(str, _TextDumper)
        connection.read_only = reading

    return engine


def take_lock(connection: Connection, mode: LockMode) -> None:
    """Wait for the lock in this mode. Must be the transaction's first statement."""
    connection.exec_driver_sql(_TAKE_LOCK[mode])


class PostgresDatabase:
    """A `Database` that servers on several machines can share."""

    def __init__(self, url: URL) -> None:
        self._reading, self._writing = open_engine(url, reading=True), open_engine(url)
        note_cursors(self._reading)
        self._readers = {
            lane: ThreadPoolExecutor(threads, f"store-read-{lane.name.lower()}") for lane, threads in READERS.items()
        }
        # Only one can hold the lock exclusively: more threads waiting for it would delay claims.
        self._exclusive_writer = ThreadPoolExecutor(1, "store-write-alone")
        self._writers = ThreadPoolExecutor(_WRITERS - 1, "store-write")
        self._reachability = Reachability(url.render_as_string(hide_password=True))

    async def read(self, work: Work[T], lane: Lane = Lane.USUAL) -> T:
        """Run `work` on a consistent view. Returns its result."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers[lane], self._translate_errors, self._read, work
        )

    async def write(self, work: Work[T]) -> T:
        """Run `work` while nothing else writes. Returns its result."""
        return await asyncio.get_running_loop().run_in_executor(
            self._exclusive_writer, self._translate_errors, self._write, work, "exclusive"
        )

    async def write_guarded(self, work: Work[T]) -> T:
        """Run `work`, possibly beside other guarded work. Returns its result."""
        return await asyncio.get_running_loop().run_in_executor(
            self._writers, self._translate_errors, self._write_guarded, work
        )

    def close(self) -> None:
        """Finish the submitted work, then close."""
        self._exclusive_writer.shutdown()
        self._writers.shutdown()
        for readers in self._readers.values():
            readers.shutdown()
        self._writing.dispose()
        self._reading.dispose()

    def _translate_errors(self, act: Callable[..., T], *args: Any) -> T:
        """Call `act`, turning errors of the database into errors for clients."""
        try:
            result = act(*args)
        except REFUSALS as error:
            raise refusal(error) from error
        except (DBAPIError, PoolTimeout) as error:
            raise self._reachability.lost(error) from error
        self._reachability.answered()
        return result

    def _read(self, work: Work[T]) -> T:
        with self._reading.begin() as connection, closed_cursors(connection):
            return work(connection)

    def _write(self, work: Work[T], mode: LockMode) -> T:
        with self._writing.begin() as connection:
            take_lock(connection, mode)
            return work(connection)

    def _write_guarded(self, work: Work[T]) -> T:
        try:
            return self._write(work, "shared")
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _RETRYABLE:
                raise
        return self._write(work, "exclusive")
