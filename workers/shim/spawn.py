"""Starts a command: in a session of its own, as the user named, its output going into a pipe.

The process is made by ``vfork``, which copies nothing: of all ways to start a program the cheapest. Until it executes
the command it shares the shim's lock, so that a shim killed in between still counts as keeping the job.
"""

import errno
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from ipc.control_groups import ControlGroup
from ipc.messages import shorten
from ipc.work_order import JobUser

#: The longest name of a command in a sentence about it, in bytes of JSON. A command may be a whole program.
_NAME_BYTES = 300

#: A shell's exit codes for a command that is not there, and of one that cannot be executed.
EXIT_NOT_FOUND = 127
EXIT_NOT_EXECUTABLE = 126


class Plan(msgspec.Struct, frozen=True):
    """What is to be executed, where, as whom, in which control group, which exists, and with which umask."""

    command: tuple[str, ...]
    environment: dict[str, str]
    work: str
    user: JobUser | None = None
    group: str | None = None
    umask: int = 0o022


class CannotSpawn(Exception):
    """A command could not be executed: ``code`` is a shell's exit code for it, the text a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class SpawnedCommand:
    """A command that runs: its main process, and the reading end of its output."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        # The process monitor waits for all processes of the command; this object must not be the one to notice the end.
        self._process = process
        self.pid = process.pid
        self.output = output


def spawn(plan: Plan) -> SpawnedCommand:
    """Execute ``plan``; raises :class:`CannotSpawn` when that is not possible."""
    reader, writer = os.pipe()
    try:
        process = _execute(plan, writer)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        os.close(reader)
        raise _explain_group(plan) or _explain(error, plan) from error
    finally:
        os.close(writer)
    os.set_blocking(reader, False)
    return SpawnedCommand(process, reader)


def _execute(plan: Plan, output: int) -> subprocess.Popen[bytes]:
    # In a group, the new process becomes the user by itself, for that user may not enter it.
    user = None if plan.group else plan.user
    return subprocess.Popen(
        plan.command,
        env=plan.environment,
        # As root, one may enter any directory; it is the job's user who has to.
        cwd=None if user or plan.group else plan.work,
        preexec_fn=_preparation(plan),  # noqa: PLW1509 (a shim has no threads)
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # Python's descriptors close by themselves on execution, and not before: see the module's text on the lock.
        close_fds=False,
        start_new_session=True,
        umask=plan.umask,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=user.groups if user else None,
    )


def _preparation(plan: Plan) -> Callable[[], None] | None:
    """Return what the new process does before it executes the command, if anything."""
    if plan.group:
        return partial(_enter, plan.group, plan)
    return partial(os.chdir, plan.work) if plan.user else None


def _enter(group: str, plan: Plan) -> None:
    ControlGroup(group).enter()
    if plan.user is not None:
        os.setgroups(plan.user.groups)
        os.setgid(plan.user.gid)
        os.setuid(plan.user.uid)
    os.chdir(plan.work)


def _explain_group(plan: Plan) -> CannotSpawn | None:
    if not plan.group or ControlGroup(plan.group).exists():
        return None
    message = f"The job's control group {plan.group} was removed before the job started."
    return CannotSpawn(EXIT_NOT_EXECUTABLE, message)


def _explain(error: Exception, plan: Plan) -> CannotSpawn:
    name = shorten(plan.command[0], _NAME_BYTES)
    match error:
        case FileNotFoundError() if not Path(plan.work).is_dir():
            return CannotSpawn(EXIT_NOT_EXECUTABLE, "The job's working directory was removed before it started.")
        case FileNotFoundError() if os.sep in name and Path(plan.work, plan.command[0]).exists():
            return CannotSpawn(EXIT_NOT_FOUND, f"The interpreter in the first line of {name} is not on this host.")
        case FileNotFoundError() | NotADirectoryError():
            return CannotSpawn(EXIT_NOT_FOUND, f"The command {name} was not found on this host.")
        case PermissionError(filename=plan.work) | subprocess.SubprocessError():
            message = f"The job's user may not enter {plan.work}: see the permissions of the directories above it."
            return CannotSpawn(EXIT_NOT_EXECUTABLE, message)
        case PermissionError():
            return CannotSpawn(EXIT_NOT_EXECUTABLE, f"The command {name} may not be executed: see its permissions.")
        case OSError(errno=errno.ENOEXEC):
            return CannotSpawn(EXIT_NOT_EXECUTABLE, f"{name} is neither a program nor a script with a #! line.")
        case OSError(errno=errno.E2BIG):
            return CannotSpawn(EXIT_NOT_EXECUTABLE, _too_big(plan))
        case ValueError():
            message = "A word of the command or a value of its environment has a zero byte, or is no proper text."
            return CannotSpawn(EXIT_NOT_EXECUTABLE, message)
        case _:
            return CannotSpawn(EXIT_NOT_EXECUTABLE, f"The command {name} could not be started: {_reason(error)}.")


def _reason(error: Exception) -> str:
    # An OSError's text holds the whole name of the command.
    match error:
        case OSError(strerror=str(sentence)):
            return sentence
        case _:
            return shorten(str(error), _NAME_BYTES)


def _too_big(plan: Plan) -> str:
    size = sum(map(len, plan.command)) + sum(len(name) + len(value) for name, value in plan.environment.items())
    return (
        f"The command and its environment, which holds the run's config, take {size // 1024} KiB; that is more than "
        "this host gives to a process. Move large values of the config into an artifact."
    )
