"""A control group (version 2) of the kernel as a directory: its members, limits and end, and what it has used.

Owns the files of one group. Which group belongs to which job, and where groups may be made, is decided elsewhere.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.settings import JobLimits

#: The controllers that the limits of a job need.
CONTROLLERS = ("memory", "cpu", "pids")

#: The group of the processes that keep jobs, beside those of the jobs.
SHIMS = "shims"

#: After a job's name: the group of the tools that prepare it.
TOOLS_SUFFIX = ".tools"

_CONTROLLER_OF = {"memory": "memory", "processors": "cpu", "processes": "pids"}

#: The period to which the kernel's limit of processor time refers, in microseconds.
_CPU_PERIOD = 100_000
_LOOK_AGAIN_SECONDS = 0.02


class Usage(msgspec.Struct, frozen=True):
    """What a job used: seconds of processor time in all, bytes of memory at most; ``None`` where it is not known."""

    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


class ControlGroup:
    """The group at ``path``, which may or may not exist. Methods raise :class:`OSError` unless they say otherwise."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """Return whether the group is there."""
        return (self._path / "cgroup.procs").exists()

    def make(self, limits: JobLimits | None = None) -> tuple[str, ...]:
        """Make the group if it is missing, and set ``limits``; return the names of those that could not be set."""
        with suppress(FileExistsError):
            self._path.mkdir(0o755)
        return tuple(self._set(limits)) if limits is not None else ()

    def delegate(self) -> frozenset[str]:
        """Let groups below this one have its controllers; return which of :data:`CONTROLLERS` they have."""
        for name in CONTROLLERS:
            with suppress(OSError):
                self._write("cgroup.subtree_control", f"+{name}")
        return self.controllers()

    def controllers(self) -> frozenset[str]:
        """Return which of :data:`CONTROLLERS` the groups below this one have; none where there is no such group."""
        try:
            return frozenset(self._read("cgroup.subtree_control").split()) & frozenset(CONTROLLERS)
        except OSError:
            return frozenset()

    def enter(self) -> None:
        """Move this process into the group."""
        self._write("cgroup.procs", "0")

    def members(self) -> set[int]:
        """Return the ids of the processes in the group and below; empty where there is no such group."""
        found: set[int] = set()
        for directory in self._directories():
            with suppress(OSError):
                found.update(map(int, (directory / "cgroup.procs").read_text().split()))
        return found

    def is_populated(self) -> bool:
        """Return whether a process is in the group or below it; ``False`` where there is no such group."""
        try:
            return "populated 1" in self._read("cgroup.events")
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """Send SIGKILL to everything in the group and below, also to what is being forked. Raises nothing."""
        try:
            self._write("cgroup.kill", "1")
        except OSError:
            # Before Linux 5.14. What is frozen forks no more, and dies of SIGKILL.
            with suppress(OSError):
                self._write("cgroup.freeze", "1")
            for pid in self.members():
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)

    def end(self, seconds: float) -> bool:
        """Kill everything in the group; return whether nothing was left within ``seconds``. Raises nothing."""
        give_up_at = time.monotonic() + seconds
        while self.is_populated():
            self.kill()
            if time.monotonic() > give_up_at:
                return False
            self._await_change()
        return True

    def remove(self) -> bool:
        """Remove the group, which must be empty, with what is below it; return whether it is gone. Raises nothing."""
        for directory in self._directories():
            with suppress(OSError):
                directory.rmdir()
        return not self.exists()

    def usage(self) -> Usage:
        """Return what the processes of the group have used so far. Raises nothing."""
        microseconds = self._number_in("cpu.stat", "usage_usec")
        peak = None
        with suppress(OSError, ValueError):
            peak = int(self._read("memory.peak"))
        return Usage(None if microseconds is None else microseconds / 1e6, peak)

    def exceeded_memory(self) -> int | None:
        """Return the group's limit of memory in bytes if the kernel killed for it, else ``None``. Raises nothing."""
        # The first counts the group's own limit alone, the second what was killed for any.
        if not self._number_in("memory.events", "oom") or not self._number_in("memory.events", "oom_kill"):
            return None
        with suppress(OSError, ValueError):
            return int(self._read("memory.max"))
        return None

    def _set(self, limits: JobLimits) -> Iterator[str]:
        for name, files in _files_of(limits).items():
            try:
                for file, value in files:
                    self._write(file, value)
            except OSError:
                yield name
            # Without swap for more. Not every host has these.
            if name == "memory":
                for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                    with suppress(OSError):
                        self._write(file, value)

    def _number_in(self, file: str, key: str) -> int | None:
        with suppress(OSError, ValueError):
            for line in self._read(file).splitlines():
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
        return None

    def _await_change(self) -> None:
        """Wait until the group becomes empty, or for a moment."""
        with suppress(OSError), (self._path / "cgroup.events").open() as events:
            poll = select.poll()
            poll.register(events, select.POLLPRI)
            if "populated 1" in events.read():
                poll.poll(_LOOK_AGAIN_SECONDS * 1000)

    def _directories(self) -> Iterator[Path]:
        """Yield the directories of all groups from the deepest to this one's."""
        for directory, _, _ in os.walk(self._path, topdown=False):
            yield Path(directory)

    def _read(self, name: str) -> str:
        return (self._path / name).read_text()

    def _write(self, name: str, value: str) -> None:
        # Never made where it is missing, as a file opened for writing would be elsewhere.
        descriptor = os.open(self._path / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)


def mount_point() -> str | None:
    """Return where this host has its control groups of version 2, ``None`` where it has none."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, described = line.partition(" - ")
        if described.startswith("cgroup2 "):
            return fields.split()[4]
    return None


def own_group() -> str | None:
    """Return the path of the group of version 2 that this process is in, ``None`` where there is none."""
    top = mount_point()
    if top is not None:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return top + line.removeprefix("0::").rstrip("/")
    return None


def controllers_for(limits: Iterable[str]) -> set[str]:
    """Return the controllers that the limits with these names need; some need none."""
    return {_CONTROLLER_OF[name] for name in limits if name in _CONTROLLER_OF}


def _files_of(limits: JobLimits) -> dict[str, list[tuple[str, str]]]:
    files: dict[str, list[tuple[str, str]]] = {}
    if limits.memory is not None:
        files["memory"] = [("memory.max", str(limits.memory))]
    if limits.processors is not None:
        files["processors"] = [("cpu.max", f"{max(1000, round(limits.processors * _CPU_PERIOD))} {_CPU_PERIOD}")]
    if limits.processes is not None:
        files["processes"] = [("pids.max", str(limits.processes))]
    return files
