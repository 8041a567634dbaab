"""State directories of programs' agents. Owns their names, their locks and the removal of old ones."""

import fcntl
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from ipc.file_locks import is_held
from ipc.temporary import CONTROL_PREFIX
from ipc.trees import remove_job_directory, remove_tree
from launchd.agent.control.client import SOCKET_NAME
from launchd.config import default_state_dir
from launchd.config.loader import MAX_SOCKET_PATH
from launchd.local.instance import ENVIRONMENT_VARIABLE

#: Number of directories that are kept, so that ended launches can be examined.
KEPT_DIRECTORIES = 20

_LOCK = "caller.lock"


def launches_dir(environ: Mapping[str, str]) -> Path:
    """Return the parent of the state directories of all programs."""
    return Path(environ.get(ENVIRONMENT_VARIABLE) or default_state_dir(environ), "launches")


def new_directory(parent: Path) -> tuple[Path, int]:
    """Make a directory for a program; it is not removed while the returned descriptor is open. Raises ``OSError``."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_old(parent)
    directory = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{os.urandom(2).hex()}"
    directory.mkdir(mode=0o700)
    lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return directory, lock


def socket_dir(state_dir: Path) -> Path:
    """Return the directory for the agent's control socket; a temporary one where the path would be too long."""
    usual = state_dir / "run"
    if len(os.fsencode(usual / SOCKET_NAME)) <= MAX_SOCKET_PATH:
        return usual
    return Path(tempfile.mkdtemp(prefix=CONTROL_PREFIX))


def _remove_old(parent: Path) -> None:
    for directory in sorted(parent.iterdir())[: -KEPT_DIRECTORIES + 1]:
        if not _is_in_use(directory):
            # Not `shutil.rmtree`: it recurses, and a job may have made any number of nested directories.
            for job in (directory / "jobs").glob("*"):
                remove_job_directory(str(job), ())
            remove_tree(directory)


def _is_in_use(directory: Path) -> bool:
    try:
        return is_held(directory / _LOCK, shared=True)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        # Nothing is known: its program may live.
        return True
