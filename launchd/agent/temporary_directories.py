"""Removes what killed workers, fork servers and programs left among temporary files: some of it holds keys.

Anyone can make anything there. So a directory has to be this user's alone, by its name one of launchd's, and dead: most
live for seconds, and who needs one for longer holds a lock in it. No link is followed.
"""

import logging
import os
import re
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ipc.file_locks import is_held
from ipc.temporary import PREFIXES
from ipc.trees import remove_tree
from launchd.agent.control.client import LOCK_NAME

#: How often is looked for them, in seconds.
LOOK_SECONDS = 3600.0

#: A directory that is so old, and in which no lock is held, is of no living process.
DEAD_SECONDS = 3600.0

_OURS = re.compile(f"(?:{'|'.join(map(re.escape, PREFIXES))})[A-Za-z0-9_]+")

log = logging.getLogger(__name__)


def look() -> None:
    """Remove them, beside the main loop: how much lies among temporary files is not known."""
    # Python's word for a thread that the kernel refused; the next look may have it.
    with suppress(RuntimeError):
        threading.Thread(target=remove_dead, name="temporary-files", daemon=True).start()


def remove_dead() -> None:
    """Remove the dead ones of this user; what cannot be removed is logged."""
    # The way to it may have links: that is the administrator's doing, or this user's.
    place = os.path.realpath(tempfile.gettempdir())
    try:
        dead = list(_dead_below(place))
    except OSError as error:
        log.warning("Temporary files cannot be looked through.", extra={"directory": place, "error": str(error)})
        return
    for path in dead:
        problem = remove_tree(path)
        if problem is None:
            log.info("What a killed process left among temporary files was removed.", extra={"directory": path})
        else:
            log.warning("What a killed process left among temporary files is still there.", extra={"why": problem})


def _dead_below(place: str) -> Iterator[str]:
    now = time.time()
    with os.scandir(place) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name) and _is_dead(entry, now):
                yield entry.path


def _is_dead(entry: os.DirEntry[str], now: float) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        # Not of the last modification, which anyone sets who copies it.
        return is_own and now - found.st_ctime > DEAD_SECONDS and not _is_locked(entry.path)
    except OSError:
        # It is gone meanwhile, or nothing is known of it.
        return False


def _is_locked(path: str) -> bool:
    try:
        return is_held(Path(path, LOCK_NAME))
    except FileNotFoundError:
        return False
