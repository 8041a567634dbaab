"""Has a question answered by a fork of this process, which ends with its answer.

For what writes to much memory, once, and leaves little: the pages stay shared with the fork server, and the memory is
given back.
"""

import logging
import os
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from workers import processes

#: How many bytes of an answer are read at a time.
_PIECE = 1 << 16

log = logging.getLogger(__name__)


class NoAnswer(Exception):
    """The fork ended without an answer; what it met is in the log."""


def answered_elsewhere(question: Callable[[], bytes], seconds: float) -> bytes:
    """Return what ``question`` returns in a fork of this process; it should raise nothing.

    After ``seconds`` the fork is ended, with all that it started.

    Raises:
        NoAnswer: the fork died, had no answer in time, or an error is in the log.
        OSError: there is no process or descriptor to be had.
    """
    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            _answer(question, writer)
    finally:
        os.close(writer)
    answer: bytes | None = None
    try:
        with os.fdopen(reader, "rb") as pipe:
            answer = _read(pipe.fileno(), time.monotonic() + seconds)
    finally:
        if answer is None:
            processes.kill({pid} | processes.descendants([pid]), signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if answer is None:
        raise NoAnswer(f"there was no answer within {seconds:g} s")
    if status:
        raise NoAnswer(f"a process that was asked ended with the status {os.waitstatus_to_exitcode(status)}")
    return answer


def _read(pipe: int, deadline: float) -> bytes | None:
    """Return what comes until the end of the pipe, ``None`` where that does not come in time."""
    pieces: list[bytes] = []
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = os.read(pipe, _PIECE)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    return None


def _answer(question: Callable[[], bytes], writer: int) -> NoReturn:
    status = 1
    try:
        processes.die_with_parent()
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(question())
        status = 0
    except BaseException:  # noqa: BLE001 (nothing may reach the worker's code further up this stack)
        log.error("A process that was asked met an unexpected error.\n%s", traceback.format_exc())
    finally:
        os._exit(status)
