"""What an agent has to itself on its host: locks on files that all agents of one user share. Main thread only.

The kernel gives them back with the process, however that ends, and says which process has them. They hold between the
agents of root, and between those of another user who has a runtime directory; between different users nothing holds.
"""

import fcntl
import os
import struct
from collections.abc import Mapping
from pathlib import Path

#: Names another directory: for tests, and for agents that share a host and not its ``/run``.
DIRECTORY_VARIABLE = "LAUNCHD_LOCKS_DIR"

_SYSTEM_DIRECTORY = "/run/launchd-locks"

#: ``struct flock`` of Linux: type, from where, start, length, process.
_FLOCK = struct.Struct("hhqqi4x")


class HostLocks:
    """Locks in ``directory``, which is made when it is needed; without one everything is free for all.

    Of one file this process must have one descriptor: closing another one would give its locks back.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._files: dict[str, int] = {}

    def take(self, name: str, numbers: range = range(1)) -> int | None:
        """Lock ``numbers`` of the file ``name``; returns the process that has some of them, ``None`` where it worked.

        Raises:
            OSError: the directory or the file cannot be used.
        """
        file = self._open(name)
        if file is None:
            return None
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(numbers), numbers.start)
        except BlockingIOError:
            # It may have been given back meanwhile: the next time, then.
            return self.holder(name, numbers) or 0
        return None

    def holder(self, name: str, numbers: range = range(1)) -> int | None:
        """Return the other process that has some of ``numbers``, 0 where it cannot be named; ``None`` without one.

        Raises:
            OSError: the directory or the file cannot be used.
        """
        file = self._open(name)
        if file is None:
            return None
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, numbers.start, len(numbers), 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else max(pid, 0)

    def close(self) -> None:
        """Give everything back."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _open(self, name: str) -> int | None:
        if self._directory is None:
            return None
        if name not in self._files:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._files[name] = os.open(self._directory / name, flags, 0o600)
        return self._files[name]


def locks_directory(environ: Mapping[str, str]) -> Path | None:
    """Return where the agents of this process's user have their locks; ``None`` where there is no such place."""
    named = environ.get(DIRECTORY_VARIABLE)
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path(_SYSTEM_DIRECTORY)
    runtime = environ.get("XDG_RUNTIME_DIR")
    return Path(runtime, "launchd-locks") if runtime else None


def agent_words(pid: int) -> str:
    """Return how another agent is called in a sentence."""
    return f"another agent of this host (process {pid})" if pid else "another agent of this host"
