"""Copies the database: SQLite by its online backup, PostgreSQL by its own `pg_dump` and `pg_restore`."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, inspect
from sqlalchemy.exc import DBAPIError

from launchd.server.backup.contents import copy_file
from launchd.server.backup.description import Store
from launchd.server.errors import BackupFailed
from launchd.server.private_files import open_private
from launchd.server.settings import ServerSettings
from launchd.server.store.factory import database_name, database_url, migration_transaction

_FILES: dict[Store, str] = {"sqlite": "server.sqlite", "postgresql": "server.pgdump"}


def store_of(settings: ServerSettings) -> Store:
    """Which kind of database the settings name."""
    return "sqlite" if database_url(settings) is None else "postgresql"


def copy_out(settings: ServerSettings, backup: Path) -> None:
    """Copy the database, which a server may be using, as it is at one moment.

    Raises:
        BackupFailed: it cannot be read.
    """
    url = database_url(settings)
    if url is None:
        _copy_sqlite(settings.database_path, backup / _FILES["sqlite"])
    else:
        _run_tool(url, "pg_dump", "--format=custom", f"--file={backup / _FILES['postgresql']}")


def copy_in(settings: ServerSettings, backup: Path) -> None:
    """Put the database of a backup where the settings name it; no server may be using it.

    Raises:
        BackupFailed: it is damaged, or there is a database already.
    """
    url = database_url(settings)
    if url is None:
        copy_file(backup / _FILES["sqlite"], settings.database_path)
        _check_sqlite(settings.database_path)
        return
    _require_empty(settings)
    _run_tool(
        url,
        "pg_restore",
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        str(backup / _FILES["postgresql"]),
    )


def _copy_sqlite(source: Path, target: Path) -> None:
    # SQLite gives the files beside it the same mode.
    open_private(target).close()
    try:
        # All in one step: a view of one moment, during which the server goes on writing into its log.
        with closing(_open(source)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} cannot be copied: {error}.") from error
    _check_sqlite(target)


def _check_sqlite(path: Path) -> None:
    try:
        with closing(_open(path)) as opened:
            found = opened.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupFailed(f"{path} cannot be read: {error}.") from error
    if found != "ok":
        raise BackupFailed(f"{path} is damaged: {found}.")


def _open(path: Path) -> sqlite3.Connection:
    # Not made where it is missing.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def _require_empty(settings: ServerSettings) -> None:
    try:
        with migration_transaction(settings) as connection:
            tables = inspect(connection).get_table_names()
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise BackupFailed(f"{database_name(settings)} cannot be used as a database: {reason}.") from error
    if tables:
        raise BackupFailed(
            f"{database_name(settings)} is not empty: it has a table {min(tables)}. Make a new database (createdb), and"
            " name that one with --database."
        )


def _run_tool(url: URL, *command: str) -> None:
    """Run a program of PostgreSQL. A password goes by its environment: all users can read a command line."""
    address = url.set(drivername="postgresql")._replace(password=None).difference_update_query(["password"])
    password = url.password or url.query.get("password")
    environment = {**os.environ, **({"PGPASSWORD": str(password)} if password else {})}
    name, *words = command
    connection = ("--no-password", f"--dbname={address.render_as_string(hide_password=False)}")
    try:
        done = subprocess.run([name, *connection, *words], env=environment, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise BackupFailed(
            f"A database in PostgreSQL takes its own {name}, which is not installed here (Debian: postgresql-client)."
        ) from error
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise BackupFailed(f"{name} failed with exit code {done.returncode}: {said or 'it said nothing'}")
