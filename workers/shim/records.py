"""The records that a shim leaves in its job's directory, for the workers that come after it.

``shim.lock``   held by the living shim; its content names its process
``started.json`` there before the command's first instruction: it is never started a second time
``command.json`` which process the command is; gone with a power cut, like the process
``stop.json``   a stop was asked for
``exit.json``   how the command ended; empty while it has not

Owns names, layout and durability of these files. Decides nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from ipc.boot_clock import BootMoment
from ipc.job_files import LOCK_FILE, OUTPUT_FILE, STARTED_FILE
from workers.processes import ProcessKey

COMMAND_FILE = "command.json"
STOP_FILE = "stop.json"
EXIT_FILE = "exit.json"

#: Room kept on the disk for the exit record, so that a job which fills the disk cannot lose its exit status.
_RESERVED_BYTES = 4096

T = TypeVar("T")


class StartedRecord(msgspec.Struct, frozen=True):
    """The command may have run from ``started_at`` (seconds since the epoch) on, kept by ``shim``.

    ``group`` is the path of its control group, None where it has none. ``started`` is the same moment in boot time,
    ``None`` in the record of a version that did not note it.
    """

    shim: ProcessKey
    started_at: float
    group: str | None = None
    started: BootMoment | None = None


class StopRecord(msgspec.Struct, frozen=True):
    """A stop was asked for. ``requested`` is ``None`` in the record of a version that kept the wall clock's time."""

    grace_seconds: float
    requested: BootMoment | None = None


class ExitRecord(msgspec.Struct, frozen=True):
    """How the command ended; ``survivors`` are processes of it that could not be killed.

    ``cpu_seconds`` and ``peak_memory_bytes`` are what it used with all it started, ``run_seconds`` is how long it ran;
    ``None`` where it is not known.
    """

    ended_at: float
    code: int | None = None
    signal: int | None = None
    stopped: bool = False
    oom_killed: bool = False
    message: str | None = None
    survivors: tuple[int, ...] = ()
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    run_seconds: float | None = None


_started_decoder = msgspec.json.Decoder(StartedRecord)
_key_decoder = msgspec.json.Decoder(ProcessKey)
_stop_decoder = msgspec.json.Decoder(StopRecord)
_exit_decoder = msgspec.json.Decoder(ExitRecord)


def read_started(directory: Path) -> StartedRecord | None:
    """Return the record of the start, or ``None``."""
    return _read(directory / STARTED_FILE, _started_decoder)


def read_command(directory: Path) -> ProcessKey | None:
    """Return the command's main process, or ``None`` when that is not known (yet)."""
    return _read(directory / COMMAND_FILE, _key_decoder)


def read_stop(directory: Path) -> StopRecord | None:
    """Return the record of a stop request, or ``None``."""
    return _read(directory / STOP_FILE, _stop_decoder)


def read_exit(directory: Path) -> ExitRecord | None:
    """Return the record of the end, or ``None``."""
    return _read(directory / EXIT_FILE, _exit_decoder)


def write_started(directory: Path, record: StartedRecord) -> None:
    """Write the record so that it survives a power cut; raises :class:`OSError`."""
    _replace(directory / STARTED_FILE, record)
    # After the rename, so that file and directory go to the disk together: half the price of two.
    _sync(directory / STARTED_FILE)
    _sync(directory)
    # The job's directory is as new as the record, and its name is in the directory of all jobs.
    _sync(directory.parent)


def write_command(directory: Path, command: ProcessKey) -> None:
    """Write which process the command is; raises :class:`OSError`."""
    _replace(directory / COMMAND_FILE, command)


def write_stop(directory: Path, record: StopRecord) -> None:
    """Write the stop request; raises :class:`OSError`, and leaves an earlier one as it is then."""
    _replace(directory / STOP_FILE, record)


def write_exit(directory: Path, record: ExitRecord) -> None:
    """Write the record so that it survives a power cut, into the room reserved for it; raises :class:`OSError`.

    The output is made to survive before it: where the end of a job is known, so is what it printed.
    """
    for output in directory.glob(f"{OUTPUT_FILE}*"):
        with suppress(OSError):
            _sync(output)
    data = msgspec.json.encode(record)
    with _opened(directory / EXIT_FILE, os.O_WRONLY | os.O_CREAT) as descriptor:
        # Written before it is cut: cutting first would give the reserved room away.
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    _sync(directory)


def reserve_exit(directory: Path) -> None:
    """Set room for the exit record aside on the disk; raises :class:`OSError` when there is none left."""
    with _opened(directory / EXIT_FILE, os.O_WRONLY | os.O_CREAT) as descriptor:
        os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)


def take_lock(directory: Path, holder: ProcessKey) -> bool:
    """Hold the shim's lock for the rest of this process's life; return whether no other process holds it.

    Raises :class:`OSError` when the holder cannot be noted; the lock is free then.
    """
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except OSError:
        os.close(descriptor)
        raise
    return True


def read_holder(directory: Path) -> ProcessKey | None:
    """Return who holds, or last held, the lock; ``None`` when that is not known (yet)."""
    return _read(directory / LOCK_FILE, _key_decoder)


def _read(path: Path, decoder: msgspec.json.Decoder[T]) -> T | None:
    try:
        return decoder.decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _replace(path: Path, record: msgspec.Struct) -> None:
    temporary = path.with_name(f".{path.name}.new")
    with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        _write_all(descriptor, msgspec.json.encode(record))
    temporary.replace(path)


def _write_all(descriptor: int, data: bytes) -> None:
    # A disk that is almost full takes a part, and refuses the rest.
    while data:
        data = data[os.write(descriptor, data) :]


def _sync(path: Path) -> None:
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
