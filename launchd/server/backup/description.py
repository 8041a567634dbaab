"""The file that says what a backup holds. It is written last: a backup without it was not finished."""

from pathlib import Path
from typing import Literal

import msgspec

from launchd.server.errors import BackupFailed
from launchd.server.private_files import open_private

_FILE = "backup.json"

Store = Literal["sqlite", "postgresql"]


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    made_at: str
    """When its database was copied, in ISO 8601 with the zone."""
    made_by: str
    """The version of launchd."""
    store: Store
    files: int
    """Number of contents of artifacts and runs."""
    bytes: int
    """Their size together."""
    outputs: int
    """Number of items with an output."""


_decoder = msgspec.json.Decoder(Description)


def write(directory: Path, description: Description) -> None:
    """Write the file."""
    with open_private(directory / _FILE) as file:
        file.write(msgspec.json.format(msgspec.json.encode(description)) + b"\n")


def read(directory: Path) -> Description:
    """Read the file.

    Raises:
        BackupFailed: there is none, or it cannot be read.
    """
    path = directory / _FILE
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise BackupFailed(f"{directory} is no backup, or one that was not finished: it has no {_FILE}.") from error
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise BackupFailed(f"{path} cannot be read: {error}.") from error
