"""Preparation before the server listens: the data directory with its lock, keys and database."""

import fcntl
import getpass
import os
import secrets
from pathlib import Path
from typing import IO

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ipc.targets import DEFAULT_RESOURCE
from launchd.server.errors import CannotStart
from launchd.server.launch.lease_mark import LeaseMark
from launchd.server.models import KeyRole, Viewer
from launchd.server.models.accounts import MODEL_REGISTRY
from launchd.server.private_files import make_private_directory, open_private
from launchd.server.settings import ServerSettings
from launchd.server.store.accounts import accounts, api_keys, principals
from launchd.server.store.factory import database_name, migration_transaction
from launchd.server.store.launch import queues, restored
from launchd.server.store.migrate import migrate

_SECRET_BYTES = 32


def lock(settings: ServerSettings) -> IO[bytes]:
    """Lock the data directory until the file is closed or the process ends.

    Servers on one PostgreSQL share it: it holds the blobs of artifacts, and nothing that only one of them may write.

    Raises:
        CannotStart: another server has it, or it cannot be made.
    """
    try:
        make_private_directory(settings.data_dir)
        file = open_private(settings.data_dir / "lock")
    except OSError as error:
        raise CannotStart(f"The data directory {settings.data_dir} cannot be used: {error.strerror}.") from error
    try:
        mode = fcntl.LOCK_EX if settings.database is None else fcntl.LOCK_SH
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise CannotStart(f"Another queue server uses the data directory {settings.data_dir}.") from error
    return file


def prepare(settings: ServerSettings) -> bytes:
    """Migrate the database; create user, entity and admin key if missing. Returns the secret that signs links.

    Raises:
        CannotStart: the database cannot be used, or was written by a newer server; a restore was not finished.
    """
    if settings.unfinished_restore_path.exists():
        raise CannotStart(
            f"A backup was being restored into {settings.data_dir}, which was not finished. Empty that directory, and"
            " restore the backup once more."
        )
    database = database_name(settings)
    try:
        if settings.database is None:
            # Before SQLite opens it, which gives the files beside it the same mode.
            open_private(settings.database_path).close()
        with migration_transaction(settings) as connection:
            migrate(connection, database)
            restored.start(connection, _begun(settings))
            _ensure_admin(connection, settings)
            secret = _link_secret(settings.links_key_path)
    except DBAPIError as error:
        raise CannotStart(f"{database} cannot be used as a database: {' '.join(str(error.orig).split())}.") from error
    return secret


def _begun(settings: ServerSettings) -> restored.Start:
    return restored.Start(
        lease_seconds=settings.lease_seconds,
        timeout_seconds=settings.agent_timeout_seconds,
        pause_seconds=settings.restore_pause_seconds,
        noted_lease=LeaseMark(settings.lease_mark_path).read(),
    )


def _ensure_admin(connection: Connection, settings: ServerSettings) -> None:
    """The file is written before the row: after a crash between the two, the next start replaces the file."""
    if _key_works(connection, settings.admin_key_path):
        return
    owner = accounts.first_user(connection, settings.entity or getpass.getuser())
    _, key = api_keys.issue(connection, owner, "admin", KeyRole.ADMIN)
    viewer = api_keys.viewer_of_key(connection, api_keys.digest_of(key))
    if settings.first_queue is not None and viewer is not None:
        _ensure_queue(connection, viewer, settings.first_queue)
    write_secret(settings.admin_key_path, key)


def _ensure_queue(connection: Connection, viewer: Viewer, name: str) -> None:
    entity = principals.require_entity(connection, viewer, viewer.entity)
    project, _ = principals.ensure_project(connection, entity, MODEL_REGISTRY)
    if queues.find_queue(connection, project.id, name) is None:
        config = queues.create_config(connection, entity, DEFAULT_RESOURCE, {}, {})
        options = {"resource_config_id": config, "prioritization_mode": queues.BY_PRIORITY}
        queues.create_queue(connection, viewer, project, name, options)


def _key_works(connection: Connection, path: Path) -> bool:
    if not path.exists():
        return False
    return api_keys.viewer_of_key(connection, api_keys.digest_of(path.read_text().strip())) is not None


def _link_secret(path: Path) -> bytes:
    if not path.exists():
        write_secret(path, secrets.token_hex(_SECRET_BYTES))
    return bytes.fromhex(path.read_text().strip())


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read (0600), completely or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
