"""Opens the database that the settings name; loads PostgreSQL's driver only when it is chosen."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError

from ipc.extras import how_to_install
from launchd.server.errors import CannotStart
from launchd.server.notifier import Notifier
from launchd.server.settings import ServerSettings
from launchd.server.store import sqlite
from launchd.server.store.database import Database

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


class BackgroundTask(Protocol):
    """A task that runs beside requests."""

    def start(self) -> None:
        """Start the task. Needs a running event loop."""
        ...

    def stop(self) -> None:
        """Stop the task."""
        ...


def open_database(settings: ServerSettings) -> Database:
    """Open the database, which must be migrated."""
    url = database_url(settings)
    if url is None:
        return sqlite.SqliteDatabase(settings.database_path)
    database: Database = _load("postgresql").PostgresDatabase(url)
    return database


def open_pubsub(settings: ServerSettings, notifier: Notifier) -> BackgroundTask | None:
    """The wake-ups between servers; None where there is only one server."""
    url = database_url(settings)
    if url is None:
        return None
    pubsub: BackgroundTask = _load("pubsub").PubSub(url, notifier)
    return pubsub


@contextmanager
def migration_transaction(settings: ServerSettings) -> Iterator[Connection]:
    """A transaction that may change tables, while no other server writes."""
    url = database_url(settings)
    if url is None:
        # Rebuilding a table deletes the rows that refer to it where keys are enforced; they are checked at the end.
        engine = sqlite.open_engine(settings.database_path, "BEGIN IMMEDIATE", foreign_keys=False)
    else:
        engine = _load("postgresql").open_engine(url, timeouts=False)
    try:
        with engine.begin() as connection:
            if url is not None:
                _load("postgresql").take_lock(connection, "exclusive")
            yield connection
            if url is None:
                sqlite.check_foreign_keys(connection)
    finally:
        engine.dispose()


def database_name(settings: ServerSettings) -> str:
    """Name of the database in messages: the file, or the address without its password."""
    url = database_url(settings)
    return str(settings.database_path) if url is None else url.render_as_string(hide_password=True)


def database_url(settings: ServerSettings) -> URL | None:
    """Address of PostgreSQL; None: the store is a SQLite file.

    Raises:
        CannotStart: the setting is no address of a PostgreSQL database.
    """
    if settings.database is None:
        return None
    try:
        url = make_url(settings.database)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in _SCHEMES:
        # The address is not shown, because it may hold a password.
        raise CannotStart("The address of the database must have the form postgresql://[USER@]HOST[:PORT]/NAME.")
    return url


def _load(module: str) -> ModuleType:
    try:
        return importlib.import_module(f"launchd.server.store.{module}")
    except ImportError as error:
        raise CannotStart(
            f"PostgreSQL as the store needs a Python package that is not installed here ({error})."
            f" Install it with: {how_to_install('postgres')}."
        ) from error
