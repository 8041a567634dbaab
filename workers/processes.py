"""Processes of this host as /proc shows them: which are alive, which descend from which, and how to signal them safely.

A process id alone names no process, for the kernel uses it again; with its start time and the boot it does.
"""

import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.boot_clock import boot_id

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


class ProcessKey(msgspec.Struct, frozen=True):
    """One process for all time: ``started`` in clock ticks since the boot that ``boot`` names."""

    pid: int
    started: int
    boot: str


class _Stat(msgspec.Struct, frozen=True):
    state: str
    parent: int
    session: int
    terminal: int
    cpu_ticks: int
    started: int


def key_of(pid: int) -> ProcessKey | None:
    """Return the key of the process ``pid``, or ``None`` when there is none or it has ended."""
    stat = _read_stat(pid)
    if stat is None or stat.state in "ZX":
        return None
    return ProcessKey(pid, stat.started, boot_id())


def key_of_child(pid: int) -> ProcessKey:
    """Return the key of a child of this process that was not waited for yet, ended or not."""
    stat = _read_stat(pid)
    if stat is None:
        raise ProcessLookupError(f"process {pid} is no child of this process")
    return ProcessKey(pid, stat.started, boot_id())


def is_alive(key: ProcessKey) -> bool:
    """Return whether the process is there and has not ended."""
    return key_of(key.pid) == key


def open_pidfd(key: ProcessKey) -> int | None:
    """Return a descriptor that becomes readable when the process ends, or ``None`` when it has ended."""
    try:
        descriptor = os.pidfd_open(key.pid)
    except ProcessLookupError:
        return None
    if not is_alive(key):
        os.close(descriptor)
        return None
    return descriptor


def send_signal(key: ProcessKey, number: signal.Signals) -> bool:
    """Send a signal to the process; return whether it was there to receive it."""
    descriptor = open_pidfd(key)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def children(parent: int) -> list[int]:
    """Return the ids of the living children of ``parent``."""
    return _children_by_parent()[parent]


def descendants(roots: Iterable[int]) -> set[int]:
    """Return the ids of all living processes below ``roots``, without the roots."""
    by_parent = _children_by_parent()
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        fresh = [pid for pid in by_parent[waiting.pop()] if pid not in found]
        found.update(fresh)
        waiting += fresh
    return found


def with_variable(name: str, value: str) -> set[int]:
    """Return the ids of the processes whose environment has ``name`` set to ``value``, as far as it may be read."""
    wanted = os.fsencode(f"{name}={value}")
    return {pid for pid in _all_pids() if wanted in _read_environment(pid)}


def in_session(leader: ProcessKey) -> set[int]:
    """Return the ids of the living processes of the session that ``leader`` has begun, also where it has ended."""
    if leader.boot != boot_id():
        return set()
    return {pid for pid, stat in _living() if stat.session == leader.pid and stat.started >= leader.started}


def working_in(directory: Path, since: ProcessKey) -> set[int]:
    """Return the ids of the processes started after ``since`` whose working directory is ``directory`` or below it.

    Those with a terminal are left out: they are of a person who looks around there.
    """
    if since.boot != boot_id():
        return set()
    later = (pid for pid, stat in _living() if stat.started >= since.started and not stat.terminal)
    return {pid for pid in later if _works_in(pid, directory)}


def of_users(numbers: range) -> set[int]:
    """Return the ids of the living processes whose user is among ``numbers``."""
    return {pid for pid, _ in _living() if _user_of(pid) in numbers}


def adopted() -> set[int]:
    """Return the ids of this process's living children, if it takes care of orphans; of no process otherwise."""
    return set(children(os.getpid())) if _adopts_orphans() else set()


def holders_of(descriptor: int) -> set[int]:
    """Return the ids of the processes that have the file of ``descriptor`` open, as far as that may be seen."""
    return {pid for pid in _all_pids() if has_open(pid, descriptor)}


def has_open(pid: int, descriptor: int) -> bool:
    """Return whether the process ``pid`` has the file of ``descriptor`` open, as far as that may be seen."""
    wanted = os.fstat(descriptor)
    return any(os.path.samestat(wanted, found) for found in _open_files(pid))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time that the processes, and those they waited for, have used so far."""
    stats = map(_read_stat, pids)
    return sum(stat.cpu_ticks for stat in stats if stat is not None) / os.sysconf("SC_CLK_TCK")


def kill(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process; those that are gone, or may not be signalled, are passed over."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends. A change of user undoes it."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def wake_without_parent() -> None:
    """Ask the kernel to continue this process, should it be stopped, when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGCONT), 0, 0, 0)


def forbid_new_privileges() -> None:
    """Let neither this process nor one that it starts gain rights from a set-uid program, for good."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends, so that none is lost."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def oom_kills() -> int:
    """Return how many processes the kernel killed for want of memory since the boot; 0 where it does not say."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0


def _read_stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command's name stands in parentheses and may contain anything, parentheses too.
    fields = text[text.rindex(b")") + 2 :].split()
    parent, _, session, terminal = map(int, fields[1:5])
    return _Stat(fields[0].decode(), parent, session, terminal, sum(map(int, fields[11:15])), int(fields[19]))


def _all_pids() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        yield from [int(entry.name) for entry in entries if entry.name.isdigit()]


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.stat()


def _living() -> Iterator[tuple[int, _Stat]]:
    for pid in _all_pids():
        stat = _read_stat(pid)
        if stat is not None and stat.state not in "ZX":
            yield pid, stat


def _user_of(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.partition(b"\nUid:")[2].split(maxsplit=1)[0])


def _works_in(pid: int, directory: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(directory)
    except OSError:
        return False


def _adopts_orphans() -> bool:
    answer = ctypes.c_int(0)
    _libc.prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def _children_by_parent() -> defaultdict[int, list[int]]:
    by_parent: defaultdict[int, list[int]] = defaultdict(list)
    for pid, stat in _living():
        by_parent[stat.parent].append(pid)
    return by_parent


def _read_environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
