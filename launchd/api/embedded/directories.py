"""Where the agents of programs keep their state. Owns the names, and the removal of what is old."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from launchd.agent.control.client import SOCKET_NAME
from launchd.config import default_state_dir
from launchd.config.loader import MAX_SOCKET_PATH
from launchd.local.instance import ENVIRONMENT_VARIABLE

#: So many launches can be looked at after their end.
KEPT = 20

_LOCK = "caller.lock"


def launches_dir(environ: Mapping[str, str]) -> Path:
    """Where the launches of programs are, each in a directory of its own."""
    return Path(environ.get(ENVIRONMENT_VARIABLE) or default_state_dir(environ), "launches")


def new_directory(parent: Path) -> tuple[Path, int]:
    """Make a directory for a program; it is kept as long as the returned descriptor is open. Raises ``OSError``."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_old(parent)
    place = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(2).hex()}"
    place.mkdir(mode=0o700)
    lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return place, lock


def socket_dir(place: Path) -> Path:
    """Return the directory for the control socket of the agent in ``place``; one that is short enough a path."""
    usual = place / "run"
    if len(os.fsencode(usual / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        return usual
    return Path(tempfile.mkdtemp(prefix="launchd-"))


def _remove_old(parent: Path) -> None:
    for place in sorted(parent.iterdir())[: -KEPT + 1]:
        if not _is_in_use(place):
            shutil.rmtree(place, ignore_errors=True)


def _is_in_use(place: Path) -> bool:
    try:
        descriptor = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
