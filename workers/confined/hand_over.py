"""Hands what was fetched to the job's user: an archive through a pipe, from one's process to the other's."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ipc.errors import HostError, SourceError
from ipc.messages import shorten
from ipc.trees import start_tool, tool_arguments
from ipc.work_order import FETCH_DIRECTORY, JobUser
from workers.confined.directories import WORK_DIRECTORY
from workers.context import JobContext
from workers.process_environment import process_environment
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

_PACKER_SECONDS = 10.0
_NAMES_BYTES = 600


def hand_over(context: JobContext) -> None:
    """Have the fetched files in the job's working directory, which is empty.

    Links that lead out of the project are left out, with a warning. Between files of one user, which the agent's is
    where it has no others, there is no border: they are moved.

    Raises:
        SourceError: the files are none that are handed over, or not all of them can be.
        HostError: this host has nothing to hand them over with.
        JobCancelled: the job was stopped meanwhile.
    """
    order = context.order
    fetched = context.directory / FETCH_DIRECTORY / WORK_DIRECTORY
    if order.fetch_user is None and order.user is None:
        fetched.replace(context.work)
        return
    try:
        with packed(fetched, order.fetch_user) as archive:
            left_out = unpack(context, archive, context.work, order.user)
    except OSError as error:
        raise HostError(f"The job's files could not be handed over on this host: {error}.") from error
    if left_out:
        names = shorten("; ".join(left_out), _NAMES_BYTES)
        context.warn(f"Links that lead out of the project were left out: {names}.", "build")


def unpack(context: JobContext, archive: int, into: Path, user: JobUser | None) -> list[str]:
    """Unpack the archive of the descriptor into an empty directory of ``user``; return the links that were left out.

    Raises:
        SourceError: it is no such archive, or the disk refuses it.
        JobCancelled: the job was stopped meanwhile.
    """
    arguments, script = tool_arguments("unpack", str(archive))
    limits = Limits(
        context.order.supervision.fetch_timeout_seconds, total_key="launchd.supervision.fetch_timeout_seconds"
    )
    environment = process_environment(os.environ, user)
    command = ToolCommand(arguments, environment, into, limits, user, keep_open=(script, archive))
    try:
        return run_command(context, command, lambda _line: None).splitlines()
    except ToolFailed as error:
        reason = error.output.strip().rpartition("\n")[2] or error.message
        raise SourceError(f"The project could not be brought to its user: it {reason}.") from error


@contextmanager
def packed(tree: Path, user: JobUser | None) -> Iterator[int]:
    """Yield a descriptor from which the archive of ``tree`` can be read, which a process of ``user`` makes.

    Raises:
        SourceError: ``tree`` is none that is handed over.
        OSError: the host cannot start that process.
    """
    reader, writer = os.pipe()
    try:
        try:
            packer = start_tool("pack", tree, user, stdout=writer)
        finally:
            os.close(writer)
        with packer:
            try:
                yield reader
            except BaseException:
                packer.kill()
                raise
            _check(packer)
    finally:
        os.close(reader)


def _check(packer: subprocess.Popen[bytes]) -> None:
    _, said = packer.communicate(timeout=_PACKER_SECONDS)
    if packer.returncode != 0:
        raise SourceError(f"The project could not be brought to its user: it {said.decode(errors='replace').strip()}.")
