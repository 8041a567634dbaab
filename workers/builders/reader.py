"""Reads a project's requirements as the user whose files they are: links in a project lead where that user may go.

Owns the process that reads, a fork of the worker with limits: a project can cost its parser any time and memory.
"""

import os
import resource
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
from workers.builders.requirements import (
    FILES,
    PROJECT_FILE,
    Requirements,
    find_requirements,
    find_requires_python,
)
from workers.confined.forks import become, limit_memory
from workers.context import JobContext
from workers.sources import Project

#: No project needs more to be read: seconds, and bytes beside those that it shares with the worker.
_LIMIT_SECONDS = 30
_LIMIT_BYTES = 512 << 20
_READ_BYTES = 64 * 1024


class _Found(msgspec.Struct, frozen=True, tag="found"):
    requirements: Requirements | None


class _RequiresPython(msgspec.Struct, frozen=True, tag="requires-python"):
    specifier: str | None


class _Unreadable(msgspec.Struct, frozen=True, tag="unreadable"):
    message: str
    hint: str | None


_Answer = _Found | _RequiresPython | _Unreadable
_decoder: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


def read_requirements(project: Path, context: JobContext) -> Requirements | None:
    """Return the requirements of ``project``, None where it has none.

    Raises:
        BuildError: they cannot be read.
        JobCancelled: the job was stopped meanwhile.
    """
    if not any(os.path.lexists(project / name) for name in FILES):
        return None
    match _ask(lambda: _answer(lambda: _Found(find_requirements(project))), context):
        case _Found(requirements):
            return requirements
        case _:
            return None


def read_requires_python(project: Project, context: JobContext) -> str | None:
    """Return the versions of Python that ``project`` asks for, by its nearest ``pyproject.toml``, None for any.

    Raises:
        BuildError: it cannot be read.
        JobCancelled: the job was stopped meanwhile.
    """
    for directory in (project.directory / place for place in project.places):
        if os.path.lexists(directory / PROJECT_FILE):
            return _read_requires_python(directory, context)
    return None


def _read_requires_python(directory: Path, context: JobContext) -> str | None:
    match _ask(lambda: _answer(lambda: _RequiresPython(find_requires_python(directory))), context):
        case _RequiresPython(specifier):
            return specifier
        case _:
            return None


def search_requirements(project: Project, context: JobContext) -> tuple[Path, Requirements] | None:
    """Return the project's requirements and the directory that they are of, None where it has none.

    They are looked for where the command runs, then at the top of its context.

    Raises:
        BuildError: they cannot be read.
        JobCancelled: the job was stopped meanwhile.
    """
    for place in project.places:
        directory = project.directory / place
        found = read_requirements(directory, context)
        if found is not None:
            return directory, found
    return None


def _answer(find: Callable[[], _Found | _RequiresPython]) -> bytes:
    try:
        return msgspec.json.encode(find())
    except BuildError as error:
        return msgspec.json.encode(_Unreadable(error.message, error.hint))


def _ask(question: Callable[[], bytes], context: JobContext) -> _Found | _RequiresPython:
    """Return the answer of a process of the job's user to ``question``; raises :class:`BuildError` without one."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer_and_exit(question, context.order.user, writer)
    os.close(writer)
    try:
        match _decoder.decode(_read(reader, context)):
            case _Unreadable(message, hint):
                raise BuildError(message, hint=hint)
            case answer:
                return answer
    except msgspec.DecodeError as error:
        raise BuildError(
            f"The project's requirements could not be read with {_LIMIT_BYTES >> 20} MiB of memory in "
            f"{_LIMIT_SECONDS} s.",
            hint="Correct or shorten them.",
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


def _answer_and_exit(question: Callable[[], bytes], user: JobUser | None, writer: int) -> NoReturn:
    # Nothing may reach the worker's code further up this stack; an answer that is missing says enough.
    with suppress(BaseException):
        resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT_SECONDS, _LIMIT_SECONDS))
        limit_memory(_LIMIT_BYTES)
        if user is not None:
            become(user)
        with os.fdopen(writer, "wb") as answer:
            answer.write(question())
    os._exit(0)
