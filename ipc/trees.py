"""Runs :mod:`ipc.tree_tool` as the user whose files are concerned: no process with more rights works in their trees.

Owns how the tool is started. The directory that is given has to lie in one that only this process's user can write.
"""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from ipc import tree_tool
from ipc.work_order import JobUser

#: Of a host whose users cannot reach the interpreter of the agent, as where that is installed in root's home.
_SYSTEM_PYTHON = "/usr/bin/python3"
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_MARGIN_SECONDS = 30.0


class NoInterpreter(OSError):
    """No interpreter of this host can be run by other users than the agent's."""

    def __init__(self) -> None:
        super().__init__(
            f"users of jobs can run neither {sys.executable} nor {_SYSTEM_PYTHON}: install launchd where they may "
            "enter, such as /opt/launchd"
        )


def tool_arguments(task: str, *words: str) -> tuple[tuple[str, ...], int]:
    """Return the command that does ``task``, and the descriptor that it has to inherit; raises :class:`OSError`."""
    script = _script()
    python = interpreter_for_users() if os.geteuid() == 0 else sys.executable
    return (python, "-I", "-S", "-B", "-X", "utf8", f"/proc/self/fd/{script}", task, *words), script


def start_tool(
    task: str, directory: Path | str, user: JobUser | None, *words: str, stdout: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start ``task`` in ``directory`` as ``user``, None for this process's; raises :class:`OSError`."""
    arguments, script = tool_arguments(task, *words)
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=_ENVIRONMENT,
        pass_fds=(script,),
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )


def end_processes(user: JobUser) -> str | None:
    """Kill all processes of a user who belongs to one job; return why that was not possible, or None.

    Raises:
        OSError: the host cannot start what does it.
    """
    try:
        with _opened("/") as root:
            return _run("end", root, user)
    except subprocess.TimeoutExpired as error:
        return f"it was not done after {error.timeout:g} s"


def remove_job_directory(path: str, users: Container[int]) -> str | None:
    """Remove a job's directory, which is this process's user's; return why something is left, or None.

    What is in it is removed as the user who owns it. The processes of ``users``, who belong to this job, are ended.
    """
    try:
        with _opened(path) as directory:
            problems = [
                _remove(name, directory, end_processes=owner in users) for name, owner in _owners(directory).items()
            ]
    except OSError as error:
        return None if error.errno == errno.ENOENT else f"{path}: {error.strerror}"
    # By now it is empty, or the reason why it is not is known.
    return next(filter(None, problems), None) or remove_tree(path)


def remove_tree(path: Path | str) -> str | None:
    """Remove what is at ``path``, as the user who owns it; return why something is left, or None."""
    # The names of jobs stay texts: a Path would intern them, see `ipc.work_order`.
    parent, _, name = str(path).rpartition("/")
    try:
        with _opened(parent or ".") as directory:
            return _remove(name, directory)
    except OSError as error:
        return None if error.errno == errno.ENOENT else f"{path}: {error.strerror}"


def _owners(directory: int) -> dict[str, int]:
    with os.scandir(directory) as entries:
        return {entry.name: entry.stat(follow_symlinks=False).st_uid for entry in entries}


def _remove(name: str, parent: int, *, end_processes: bool = False) -> str | None:
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=parent)
            return None
        with _opened(name, parent) as directory:
            problem = _empty(directory, status, end_processes=end_processes)
        if problem is None:
            os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = error.strerror or str(error)
    except subprocess.TimeoutExpired as error:
        problem = f"it was not done after {error.timeout:g} s"
    return problem and f"{name}: {problem}"


def _empty(directory: int, status: os.stat_result, *, end_processes: bool) -> str | None:
    if status.st_uid == os.geteuid():
        return tree_tool.remove_contents(directory)
    owner = JobUser(status.st_uid, status.st_gid, "/")
    if end_processes:
        _run("end", directory, owner)
    with os.scandir(directory) as entries:
        is_empty = next(entries, None) is None
    return None if is_empty else _run("remove", directory, owner)


def _run(task: str, directory: int, owner: JobUser) -> str | None:
    with start_tool(task, f"/proc/self/fd/{directory}", owner) as process:
        try:
            _, said = process.communicate(timeout=tree_tool.REMOVAL_SECONDS + _MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return said.decode(errors="replace").strip() or f"exit code {process.returncode}" if process.returncode else None


@contextmanager
def _opened(path: str, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@cache
def _script() -> int:
    # By a descriptor: users of jobs may not be able to reach the file. It lives as long as this process.
    return os.open(tree_tool.__file__, os.O_RDONLY | os.O_CLOEXEC)


@cache
def interpreter_for_users() -> str:
    """Return an interpreter that users of jobs can run; raises :class:`NoInterpreter`."""
    for candidate in (sys.executable, _SYSTEM_PYTHON):
        library = os.__file__ if candidate == sys.executable else candidate
        if Path(candidate).exists() and all(_is_reachable(Path(name).resolve()) for name in (candidate, library)):
            return candidate
    raise NoInterpreter


def _is_reachable(path: Path) -> bool:
    """Return whether others may get to ``path``; links on the way are resolved."""
    return all(directory.stat().st_mode & 0o001 for directory in path.parents)
