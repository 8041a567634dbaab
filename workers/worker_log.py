"""The log of a worker: a file in its job's directory, with the stacks of all threads on a fatal signal."""

import faulthandler
import logging
import sys
from pathlib import Path

from ipc.job_files import WORKER_LOG_FILE
from ipc.log_lines import TextFormatter

#: Where log records go. Made once, in the fork server, as is what else the library makes of it.
_handler = logging.StreamHandler()
_handler.setFormatter(TextFormatter())

log = logging.getLogger(__name__)


def prepare_log() -> None:
    """Have warnings go to the agent's log as long as there is no job's."""
    _handler.setLevel(logging.WARNING)
    logging.basicConfig(handlers=[_handler], level=logging.INFO, force=True)


def open_log(directory: Path) -> None:
    """Send log records, and the stacks of all threads on a fatal signal, to the log in the job's ``directory``."""
    try:
        stream = (directory / WORKER_LOG_FILE).open("a", encoding="utf-8", errors="backslashreplace")
    except OSError:
        # On a full disk, say. A job that runs is watched, and stopped, without a log as well.
        log.exception("The worker's log cannot be opened; it goes to the agent's.")
        return
    _handler.setStream(stream)
    _handler.setLevel(logging.INFO)
    faulthandler.enable(stream)


def close_log() -> None:
    """Undo :func:`open_log`."""
    faulthandler.disable()
    _handler.setLevel(logging.WARNING)
    stream = _handler.setStream(sys.stderr)
    if stream not in (None, sys.stderr):
        stream.close()
