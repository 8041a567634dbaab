"""Files and directories in the data directory that only the server's user may open."""

import os
from pathlib import Path
from typing import IO

_FILE, _DIRECTORY = 0o600, 0o700


def open_private(path: Path) -> IO[bytes]:
    """Open a file to append to it; made if missing. It has mode 0600 from then on."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _FILE)
    file = os.fdopen(descriptor, "ab")
    os.fchmod(descriptor, _FILE)
    return file


def make_private_directory(path: Path) -> None:
    """Make a directory and its parents if missing; it has mode 0700 if it is new."""
    path.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY)
