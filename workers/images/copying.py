"""Copies a directory of a job's user into one of the agent's, as an archive from one process to another.

Two forks of the worker, since a fresh interpreter takes longer than most projects: one reads as the job's user, the
other writes and can reach nothing outside of the copy by what it was given. Both are over when this returns.
"""

import os
import signal
import tarfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from typing import NoReturn

import msgspec

from ipc import tree_tool
from ipc.errors import HostError, SourceError
from ipc.work_order import JobUser
from workers.confined.forks import become, limit_memory
from workers.context import JobContext
from workers.processes import die_with_parent

#: Beside what it shares with the worker, one of the processes may take so much memory, in bytes.
_LIMIT_BYTES = 512 << 20
_READ_BYTES = 64 * 1024
#: More than are ever shown.
_MOST_NAMES = 100


class _Done(msgspec.Struct, frozen=True, tag="done"):
    """It is done, but for links that were left out."""

    left_out: tuple[str, ...] = ()


class _Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The files are none that are handed over; ``why`` is the end of a sentence."""

    why: str


class _Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The host refused something."""

    why: str


_Answer = _Done | _Refused | _Failed
_decoder: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


def copy_tree(source: Path, user: JobUser | None, into: Path, context: JobContext) -> tuple[str, ...]:
    """Copy what is in ``source``, which is ``user``'s, into the empty directory ``into``; return what was left out.

    Raises:
        SourceError: it has files of a kind that is not handed over, or too many.
        HostError: this host cannot copy it.
        JobCancelled: the job was stopped meanwhile.
    """
    reader, writer = os.pipe()
    try:
        packing = _Child(lambda: _pack(source, user, reader, writer))
    finally:
        os.close(writer)
    try:
        unpacking = _Child(lambda: _unpack(reader, into))
    except BaseException:
        packing.end()
        raise
    finally:
        os.close(reader)
    try:
        answers = packing.answer(context), unpacking.answer(context)
    finally:
        packing.end()
        unpacking.end()
    # An archive that its maker did not finish is none that can be read.
    return [_judged(answer) for answer in answers][-1]


def _judged(answer: _Answer | None) -> tuple[str, ...]:
    match answer:
        case _Done(left_out):
            return left_out
        case _Refused(why):
            raise SourceError(f"The project cannot be copied for the build of its image: it {why}.")
        case _Failed(why):
            raise HostError(f"The job's files could not be copied for the build of its image: {why}.")
        case None:
            raise HostError(
                "The process that copied the job's files for the build of its image died.",
                hint="Most likely it had not enough memory: launch the job again, or with fewer files.",
            )


class _Child:
    """A fork of the worker that does one thing, and says in a pipe how it went."""

    def __init__(self, act: Callable[[], _Done]) -> None:
        self._reader, writer = os.pipe()
        self._pid: int | None = os.fork()
        if self._pid == 0:
            _answer_and_exit(act, writer)
        os.close(writer)

    def answer(self, context: JobContext) -> _Answer | None:
        """Wait for the answer, None where it died without one; raises where the job is to stop."""
        data = b""
        while True:
            connection.wait([self._reader, context.signal_fileno()])
            context.raise_if_interrupted()
            more = os.read(self._reader, _READ_BYTES)
            if not more:
                break
            data += more
        try:
            return _decoder.decode(data)
        except msgspec.DecodeError:
            return None

    def end(self) -> None:
        """End it, if it has not ended."""
        if self._pid is not None:
            os.close(self._reader)
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = None


# -- in the forks


def _answer_and_exit(act: Callable[[], _Done], writer: int) -> NoReturn:
    # Nothing may reach the worker's code further up this stack; an answer that is missing says enough.
    with suppress(BaseException):
        limit_memory(_LIMIT_BYTES)
        answer = _tried(act)
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(msgspec.json.encode(answer))
    os._exit(0)


def _tried(act: Callable[[], _Done]) -> _Answer:
    try:
        return act()
    except tree_tool.Refused as refusal:
        return _Refused(str(refusal))
    except tarfile.TarError as error:
        return _Refused(f"is no archive that can be read ({type(error).__name__})")
    except BrokenPipeError:
        # The other one says why.
        return _Done()
    except OSError as error:
        return _Failed(error.strerror or str(error))


def _pack(source: Path, user: JobUser | None, reader: int, writer: int) -> _Done:
    # With the last reader gone, writing fails instead of waiting.
    os.close(reader)
    os.chdir(source)
    if user is not None:
        become(user)
    # A change of user undoes it.
    die_with_parent()
    with os.fdopen(writer, "wb") as archive:
        tree_tool.pack(archive)
    return _Done()


def _unpack(reader: int, into: Path) -> _Done:
    die_with_parent()
    os.chdir(into)
    os.umask(0o022)
    with os.fdopen(reader, "rb") as archive:
        left_out = tree_tool.Unpacker().unpack(archive)
    return _Done(tuple(left_out[:_MOST_NAMES]))
