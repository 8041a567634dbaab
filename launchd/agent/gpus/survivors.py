"""Processes of a job that could not be killed: while one of them is there, the job's GPUs are not free."""

from pathlib import Path

import msgspec

from ipc.boot_clock import boot_id


class Survivor(msgspec.Struct, frozen=True):
    """One process; ``started`` (in the kernel's ticks) and ``boot`` tell it from a later one with its number."""

    pid: int
    started: str
    boot: str


def find_survivors(pids: tuple[int, ...]) -> tuple[Survivor, ...]:
    """Return those of ``pids`` that are there."""
    found = ((pid, _started(pid)) for pid in pids)
    return tuple(Survivor(pid, started, boot_id()) for pid, started in found if started is not None)


def still_there(survivors: tuple[Survivor, ...]) -> tuple[Survivor, ...]:
    """Return those that have not ended yet."""
    return tuple(one for one in survivors if one.boot == boot_id() and _started(one.pid) == one.started)


def _started(pid: int) -> str | None:
    """Return when a process was started; ``None`` of one that is gone, or is only waited for."""
    try:
        # The name of a process may hold anything, parentheses too.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
