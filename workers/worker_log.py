"""The log of a worker: a file in its job's directory, with the stacks of all threads on a fatal signal."""

import faulthandler
import logging
from pathlib import Path

from ipc.job_files import WORKER_LOG_FILE
from ipc.log_lines import TextFormatter

log = logging.getLogger(__name__)


def open_log(directory: Path) -> None:
    """Send log records, and the stacks of all threads on a fatal signal, to the log in the job's ``directory``."""
    try:
        handler = logging.FileHandler(directory / WORKER_LOG_FILE, encoding="utf-8", errors="backslashreplace")
    except OSError:
        # On a full disk, say. A job that runs is watched, and stopped, without a log as well.
        log.exception("The worker's log cannot be opened; it goes to the agent's.")
        return
    handler.setFormatter(TextFormatter())
    logging.basicConfig(handlers=[handler], force=True)
    root = logging.getLogger()
    if root.level != logging.INFO:
        # That writes to every logger there is: each worker would have a copy of the memory where they lie.
        root.setLevel(logging.INFO)
    assert handler.stream is not None, "it is opened at once"
    faulthandler.enable(handler.stream)


def close_log() -> None:
    """Undo :func:`open_log`, but for the level of what is logged."""
    faulthandler.disable()
    logging.basicConfig(handlers=[], force=True)
