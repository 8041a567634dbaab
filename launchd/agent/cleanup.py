"""Removes the directories of jobs that ended long ago, beside the main loop: a large one takes its time."""

import logging
import shutil
import threading
from collections.abc import Sequence

log = logging.getLogger(__name__)


def remove_directories(directories: Sequence[str]) -> None:
    """Remove ``directories`` in a thread of their own; what cannot be removed is logged and left."""
    threading.Thread(target=_remove, args=(tuple(directories),), name="housekeeping", daemon=True).start()


def _remove(directories: tuple[str, ...]) -> None:
    for directory in directories:
        shutil.rmtree(directory, onerror=_log_failure)


def _log_failure(_function: object, path: str, error: object) -> None:
    log.warning("What is left of an old job could not be removed.", extra={"path": path, "error": str(error)})
