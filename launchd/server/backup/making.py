"""Makes a backup of a queue server's data while servers go on using it."""

import os
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from launchd import __version__
from launchd.daemon.rlimits import raise_limit
from launchd.server.backup import database, description
from launchd.server.backup.contents import Copied, copy_contents, copy_file, entries_of, keys_of
from launchd.server.backup.description import Description
from launchd.server.backup.directories import require_empty, require_own
from launchd.server.errors import BackupFailed
from launchd.server.files.blob_store import BlobStore
from launchd.server.files.output_store import OutputStore
from launchd.server.files.quota import StorageQuota
from launchd.server.private_files import make_private_directory
from launchd.server.settings import ServerSettings


class Made(NamedTuple):
    """A backup that was made."""

    description: Description
    damaged: list[Path]
    """Contents that are damaged in the data directory, and not in the backup."""


def make_backup(settings: ServerSettings, target: Path, earlier: Path | None = None) -> Made:
    """Copy all that a server needs into `target`, which must be empty or not there.

    First the database, as it is at one moment, then the contents that it names: they are stored under their digests and
    never change, none is removed meanwhile, and what is written later does not matter. Contents that the backup
    `earlier` has are linked from there.

    Raises:
        BackupFailed: nothing whole was made, and why.
    """
    _require_data(settings)
    if earlier is not None:
        description.read(earlier)
    try:
        require_empty(target)
        raise_limit()
        return _make(settings, target, earlier)
    except OSError as error:
        raise BackupFailed(f"{error.filename or target} cannot be used: {error.strerror}.") from error


def _make(settings: ServerSettings, target: Path, earlier: Path | None) -> Made:
    copied = Copied()
    directories = (settings.files_dir, settings.run_files_dir)
    with ExitStack() as held:
        for directory in directories:
            store = BlobStore(directory, settings.max_upload_bytes, StorageQuota(None))
            held.enter_context(store.without_removals())
        made_at = datetime.now().astimezone().isoformat(timespec="seconds")
        database.copy_out(settings, target)
        for directory in directories:
            known = earlier / directory.name if earlier is not None else None
            copy_contents(directory, target / directory.name, known, copied)
    outputs = _copy_outputs(settings.outputs_dir, target)
    for path in keys_of(settings.data_dir):
        copy_file(path, target / path.relative_to(settings.data_dir))
    made = Description(
        made_at=made_at,
        made_by=__version__,
        store=database.store_of(settings),
        files=copied.files,
        bytes=copied.bytes,
        outputs=outputs,
    )
    # What it says must be on disk before it.
    os.sync()
    description.write(target, made)
    os.sync()
    return Made(made, copied.damaged)


def _copy_outputs(directory: Path, target: Path) -> int:
    store, copied = OutputStore(directory), 0
    make_private_directory(target / directory.name)
    for path in entries_of(directory):
        place = target / path.relative_to(directory.parent)
        # It may have been removed for its age.
        copied += store.copy(path.name, place)
    return copied


def _require_data(settings: ServerSettings) -> None:
    directory = settings.data_dir
    if not directory.is_dir():
        raise BackupFailed(f"There is no directory {directory}.")
    require_own(directory)
    if not settings.links_key_path.exists():
        raise BackupFailed(
            f"{directory} is no data directory of a queue server: it has no {settings.links_key_path.name}."
        )
    if settings.database is None and not settings.database_path.exists():
        raise BackupFailed(
            f"{directory} has no {settings.database_path.name}. Where the database is in PostgreSQL, name it with"
            " --database, as for `launchd server`."
        )
