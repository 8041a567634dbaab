"""Puts a backup into an empty data directory, from which a server then starts."""

import os
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError

from launchd.server import bootstrap
from launchd.server.backup import database, description
from launchd.server.backup.contents import Copied, copy_contents, copy_file, entries_of, keys_of
from launchd.server.backup.description import Description
from launchd.server.backup.directories import require_empty, require_own
from launchd.server.errors import BackupFailed
from launchd.server.launch.lease_mark import LeaseMark
from launchd.server.private_files import make_private_directory
from launchd.server.settings import ServerSettings
from launchd.server.store.factory import database_name, migration_transaction
from launchd.server.store.launch import lease_numbers
from launchd.server.store.migrate import migrate


class Restored(NamedTuple):
    """What was restored."""

    description: Description
    damaged: list[Path]
    """Contents that are damaged in the backup, and were left out."""


def restore_backup(settings: ServerSettings, backup: Path) -> Restored:
    """Put a backup into the data directory and the database that the settings name; both must be empty.

    A server starts there as over any database that is older than what its agents know: nothing is leased until they
    have come back.

    Raises:
        BackupFailed: the backup, or the place for it, cannot be used.
        CannotStart: the backup was made of a newer server, or a server uses the data directory.
    """
    made = description.read(backup)
    if made.store != database.store_of(settings):
        raise BackupFailed(_other_store(backup, made))
    try:
        require_empty(settings.data_dir)
        require_own(settings.data_dir)
        with bootstrap.lock(settings):
            return Restored(made, _restore(settings, backup))
    except OSError as error:
        raise BackupFailed(f"{error.filename or backup} cannot be used: {error.strerror}.") from error


def _restore(settings: ServerSettings, backup: Path) -> list[Path]:
    copied = Copied()
    # No server starts over what is half there.
    settings.unfinished_restore_path.touch(mode=0o600)
    database.copy_in(settings, backup)
    _mark_restored(settings)
    for directory in (settings.files_dir, settings.run_files_dir):
        copy_contents(backup / directory.name, directory, None, copied)
    make_private_directory(settings.outputs_dir)
    for path in (*entries_of(backup / settings.outputs_dir.name), *keys_of(backup)):
        copy_file(path, settings.data_dir / path.relative_to(backup))
    os.sync()
    settings.unfinished_restore_path.unlink()
    return copied.damaged


def _mark_restored(settings: ServerSettings) -> None:
    """Note a lease number that the database has not given yet, as if it had been given after the backup was made."""
    name = database_name(settings)
    try:
        with migration_transaction(settings) as connection:
            migrate(connection, name)
            highest = lease_numbers.highest(connection)
    except DBAPIError as error:
        reason = " ".join(str(error.orig).split())
        raise BackupFailed(f"{name} cannot be used as a database: {reason}.") from error
    mark = LeaseMark(settings.lease_mark_path)
    mark.note([highest + 1])
    mark.close()


def _other_store(backup: Path, made: Description) -> str:
    if made.store == "postgresql":
        return f"The database of {backup} is in PostgreSQL: make an empty one (createdb), and name it with --database."
    return f"The database of {backup} is SQLite, which is in the data directory: leave out --database."
