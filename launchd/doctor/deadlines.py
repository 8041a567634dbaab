"""Functions that run in processes of their own, which are ended at a deadline, all at the same time.

What hangs in the kernel, as a dead network file system makes it, cannot be ended: it is left to itself, and not waited
for.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple, NoReturn

#: More than any function returns.
_MOST_BYTES = 1 << 20


class _Running(NamedTuple):
    pid: int
    descriptor: int
    deadline: float
    data: bytearray


def within(works: Iterable[tuple[Callable[[], bytes], float]]) -> list[bytes | None]:
    """Return what each function returns that runs in a process of its own; None where its seconds have passed."""
    running = [_started(work, seconds) for work, seconds in works]
    silent = _hear(running)
    for one in running:
        _end(one)
    return [None if one.descriptor in silent else bytes(one.data) for one in running]


def _started(work: Callable[[], bytes], seconds: float) -> _Running:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(work, writer)
    os.close(writer)
    return _Running(pid, reader, time.monotonic() + seconds, bytearray())


def _answer(work: Callable[[], bytes], writer: int) -> NoReturn:
    """Write what ``work`` returns, or the error that it raises, and end this process."""
    try:
        os.setpgid(0, 0)
        _write(writer, work())
    except BaseException as error:  # noqa: BLE001 - the only way out of this process is below
        _write(writer, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def _write(writer: int, data: bytes) -> None:
    view = memoryview(data)[:_MOST_BYTES]
    while view:
        view = view[os.write(writer, view) :]


def _hear(running: Sequence[_Running]) -> set[int]:
    """Read what the processes write until each has ended or had its time; returns the descriptors of the latter."""
    waiting = {one.descriptor: one for one in running}
    silent: set[int] = set()
    while waiting:
        now = time.monotonic()
        late = {descriptor for descriptor, one in waiting.items() if one.deadline <= now}
        silent |= late
        for descriptor in late:
            del waiting[descriptor]
        _read_some(waiting, now)
    return silent


def _read_some(waiting: dict[int, _Running], now: float) -> None:
    if not waiting:
        return
    pause = min(one.deadline for one in waiting.values()) - now
    for descriptor in select.select(list(waiting), [], [], max(0.0, pause))[0]:
        piece = os.read(descriptor, 1 << 16)
        waiting[descriptor].data.extend(piece)
        if not piece:
            del waiting[descriptor]


def _end(one: _Running) -> None:
    """Kill what is left of a check; one that the kernel does not let go is left to it."""
    os.close(one.descriptor)
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            kill(one.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        _wait_shortly(one.pid)


def _wait_shortly(pid: int) -> None:
    give_up_at = time.monotonic() + 1.0
    while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < give_up_at:
        select.select([], [], [], 0.005)
