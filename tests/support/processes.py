"""What the kernel knows of processes that tests have started."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, whoever is to take it off the process table."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def list_of(wanted: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """Return the processes of this machine that are ``wanted``.

    One that ends meanwhile, or that may not be looked at, is left out.
    """
    return [process for process in psutil.process_iter() if _is(wanted, process)]


def command_line(process: psutil.Process) -> str:
    """Return its title or command line; nothing where it has gone."""
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.Error:
        return ""


def children_of(pid: int, *, all_below: bool = False) -> list[psutil.Process]:
    """Return the processes that a process has started; none where it has gone."""
    try:
        return psutil.Process(pid).children(recursive=all_below)
    except psutil.NoSuchProcess:
        return []


def private_bytes(pid: int) -> int:
    """Return the memory that a process shares with no other, in bytes; raises :class:`psutil.NoSuchProcess`."""
    return int(psutil.Process(pid).memory_full_info().uss)


def _is(wanted: Callable[[psutil.Process], bool], process: psutil.Process) -> bool:
    try:
        return wanted(process)
    except (psutil.Error, OSError):
        return False


def holds_files_below(directory: Path, pid: int) -> bool:
    """Return whether a process holds something open below ``directory``, or works there.

    Raises:
        OSError: it is gone, or not ours to look at.
    """
    return any(directory in path.parents for path in _held_by(Path("/proc", str(pid))))


def _held_by(process: Path) -> Iterator[Path]:
    yield (process / "cwd").readlink()
    for descriptor in (process / "fd").iterdir():
        yield descriptor.readlink()
