"""Has a question answered by a fork of this process, which ends with its answer.

For what writes to much memory, once, and leaves little: the pages stay shared with the fork server, and the memory is
given back.
"""

import logging
import os
import traceback
from collections.abc import Callable
from typing import NoReturn

from workers.processes import die_with_parent

log = logging.getLogger(__name__)


class NoAnswer(Exception):
    """The fork ended without an answer; what it met is in the log."""


def answered_elsewhere(question: Callable[[], bytes]) -> bytes:
    """Return what ``question`` returns in a fork of this process; it should raise nothing.

    Raises:
        NoAnswer: the fork died, or an error is in the log.
        OSError: there is no process or descriptor to be had.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _answer(question, writer)
    finally:
        os.close(writer)
    try:
        with os.fdopen(reader, "rb") as pipe:
            answer = pipe.read()
    finally:
        _, status = os.waitpid(pid, 0)
    if status:
        raise NoAnswer(f"a process that was asked ended with the status {os.waitstatus_to_exitcode(status)}")
    return answer


def _answer(question: Callable[[], bytes], writer: int) -> NoReturn:
    status = 1
    try:
        die_with_parent()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(question())
        status = 0
    except BaseException:  # noqa: BLE001 (nothing may reach the worker's code further up this stack)
        log.error("A process that was asked met an unexpected error.\n%s", traceback.format_exc())
    finally:
        os._exit(status)
