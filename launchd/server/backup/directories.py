"""Checks of directories before anything is written to them."""

import os
import pwd
from pathlib import Path

from launchd.server.errors import BackupFailed
from launchd.server.private_files import make_private_directory


def require_own(directory: Path) -> None:
    """Raise `BackupFailed` where a directory belongs to another user: its server could not use what is made there."""
    owner = directory.stat().st_uid
    if owner != os.geteuid():
        name = _name_of(owner)
        raise BackupFailed(
            f"{directory} belongs to the user {name}. Run this as that user: runuser -u {name} -- launchd ..."
        )


def require_empty(directory: Path) -> None:
    """Make a directory if missing.

    Raises:
        BackupFailed: there is something in it, and nothing is written over. `OSError`: it cannot be made or read.
    """
    make_private_directory(directory)
    found = sorted(entry.name for entry in directory.iterdir())
    if found:
        raise BackupFailed(f"{directory} is not empty: it has {found[0]!r}. Name a new directory, or an empty one.")


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
