"""Reads a project's requirements as the user whose files they are: links in a project lead where that user may go.

Owns the process that reads, a fork of the worker; it is given nothing but the directory.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import NoReturn

import msgspec

from ipc.errors import BuildError
from ipc.work_order import JobUser
from workers.builders.requirements import Requirements, find_requirements
from workers.context import JobContext

#: No project needs longer to be read than this, in seconds.
_LIMIT_SECONDS = 30.0
_READ_BYTES = 64 * 1024


class _Found(msgspec.Struct, frozen=True, tag="found"):
    requirements: Requirements | None


class _Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    message: str
    hint: str | None


_decoder: msgspec.json.Decoder[_Found | _Unreadable] = msgspec.json.Decoder(_Found | _Unreadable)


def read_requirements(project: Path, context: JobContext) -> Requirements | None:
    """Return the requirements of ``project``, None where it has none.

    Raises:
        BuildError: they cannot be read.
        JobCancelled: the job was stopped meanwhile.
    """
    user = context.order.user
    if user is None:
        return find_requirements(project)
    match _ask(lambda: _answer(project), user, context):
        case _Found(requirements):
            return requirements
        case _Unreadable(message, hint):
            raise BuildError(message, hint=hint)


def _answer(project: Path) -> bytes:
    try:
        return msgspec.json.encode(_Found(find_requirements(project)))
    except BuildError as error:
        return msgspec.json.encode(_Unreadable(error.message, error.hint))


def _ask(question: Callable[[], bytes], user: JobUser, context: JobContext) -> _Found | _Unreadable:
    """Return the answer of a process of ``user`` to ``question``."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer_and_exit(question, user, writer)
    os.close(writer)
    try:
        return _decoder.decode(_read(reader, context))
    except msgspec.DecodeError as error:
        raise BuildError(
            "The project's requirements could not be read.",
            hint="See whether this host is out of memory, then launch the job again.",
        ) from error
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _read(reader: int, context: JobContext) -> bytes:
    data = b""
    deadline = time.monotonic() + _LIMIT_SECONDS
    while remaining := max(0.0, deadline - time.monotonic()):
        ready = connection.wait([reader, context.signal_fileno()], remaining)
        context.raise_if_interrupted()
        if ready:
            more = os.read(reader, _READ_BYTES)
            if not more:
                break
            data += more
    return data


def _answer_and_exit(question: Callable[[], bytes], user: JobUser, writer: int) -> NoReturn:
    # Nothing may reach the worker's code further up this stack; an answer that is missing says enough.
    with suppress(BaseException):
        os.setgroups([])
        os.setresgid(user.gid, user.gid, user.gid)
        # What this process remembers of the worker stays its own: after this none but root may look into it.
        os.setresuid(user.uid, user.uid, user.uid)
        with os.fdopen(writer, "wb") as answer:
            answer.write(question())
    os._exit(0)
