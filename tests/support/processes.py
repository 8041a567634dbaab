"""What the kernel knows of processes that tests have started."""

from collections.abc import Iterator
from pathlib import Path

import psutil


def is_gone(pid: int) -> bool:
    """Return whether a process has ended, whoever is to take it off the process table."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


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
