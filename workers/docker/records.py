"""What a worker leaves on disk about a job's container, for the workers that come after it.

``container.json``  how the container ended; there before the container is removed
``start.json``      the engine was asked to start the container
``stop.json``       a stop was asked for
``overuse.json``    the container was ended because it used more than it may
``usage.json``      what the container had used when it was last looked at
``gpu-loss.json``   the container lost its GPUs while it ran
``output.position`` how far the engine's log was copied

Owns names, layout and durability of these files. Decides nothing.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.boot_clock import BootMoment
from ipc.handles import ExitResult
from workers.processes import ProcessKey
from workers.record_files import read_record, replace_record

END_FILE = "container.json"
START_FILE = "start.json"
STOP_FILE = "stop.json"
OVERUSE_FILE = "overuse.json"
USAGE_FILE = "usage.json"
GPU_LOSS_FILE = "gpu-loss.json"
POSITION_FILE = "output.position"


class EndRecord(msgspec.Struct, frozen=True):
    """The container with the id ``container`` ended so; ``stopped`` says that this was asked for."""

    container: str
    result: ExitResult
    stopped: bool


class StartRecord(msgspec.Struct, frozen=True):
    """A start was asked of the process ``engine`` at ``started``; None where that is not known."""

    engine: ProcessKey | None
    started: BootMoment | None = None


class StopRecord(msgspec.Struct, frozen=True):
    """A stop was asked for at ``requested``; after ``grace_seconds`` the container is killed."""

    grace_seconds: float
    requested: BootMoment


class OveruseRecord(msgspec.Struct, frozen=True):
    """The container used more than it may; ``message`` says of what, as a sentence."""

    message: str


class UsageRecord(msgspec.Struct, frozen=True):
    """What the container has used so far: seconds of processors, and memory at most; None where that is not known."""

    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


class GpuLossRecord(msgspec.Struct, frozen=True):
    """The container lost GPUs while it ran; ``message`` says which, as a sentence."""

    message: str


class Position(msgspec.Struct, frozen=True):
    """How far a log was copied: up to the entry of the time ``last``, the ``same``-th of that time.

    ``first`` is the time of the log's first entry; ``taken`` the bytes of the log up to there, and ``written`` the
    position of the job's own files then. Times are as the engine writes them.
    """

    first: str
    last: str
    same: int
    taken: int
    written: int


def read_end(directory: Path) -> EndRecord | None:
    """Return the record of the end, or ``None``."""
    return read_record(directory / END_FILE, EndRecord)


def write_end(directory: Path, record: EndRecord) -> None:
    """Write the record so that it survives a power cut; raises :class:`OSError`."""
    replace_record(directory / END_FILE, record, durable=True)


def read_start(directory: Path) -> StartRecord | None:
    """Return the record of the last start that was asked for, or ``None``."""
    return read_record(directory / START_FILE, StartRecord)


def write_start(directory: Path, record: StartRecord) -> None:
    """Write the record so that it survives a power cut; raises :class:`OSError`."""
    replace_record(directory / START_FILE, record, durable=True)


def read_stop(directory: Path) -> StopRecord | None:
    """Return the record of a stop, or ``None``."""
    return read_record(directory / STOP_FILE, StopRecord)


def write_stop(directory: Path, record: StopRecord) -> None:
    """Write the record; raises :class:`OSError`, and leaves an earlier one as it is then."""
    replace_record(directory / STOP_FILE, record)


def read_overuse(directory: Path) -> OveruseRecord | None:
    """Return why the container was ended, or ``None``."""
    return read_record(directory / OVERUSE_FILE, OveruseRecord)


def write_overuse(directory: Path, record: OveruseRecord) -> None:
    """Write the record; raises :class:`OSError`."""
    replace_record(directory / OVERUSE_FILE, record)


def read_usage(directory: Path) -> UsageRecord | None:
    """Return what the container had used when it was last looked at, or ``None``."""
    return read_record(directory / USAGE_FILE, UsageRecord)


def write_usage(directory: Path, record: UsageRecord) -> None:
    """Write the record; raises :class:`OSError`."""
    replace_record(directory / USAGE_FILE, record)


def read_gpu_loss(directory: Path) -> GpuLossRecord | None:
    """Return which GPUs the container lost, or ``None``."""
    return read_record(directory / GPU_LOSS_FILE, GpuLossRecord)


def write_gpu_loss(directory: Path, record: GpuLossRecord) -> None:
    """Write the record; raises :class:`OSError`."""
    replace_record(directory / GPU_LOSS_FILE, record)


def read_position(directory: Path) -> Position | None:
    """Return how far the log was copied, or ``None``."""
    return read_record(directory / POSITION_FILE, Position)


def write_position(directory: Path, position: Position) -> None:
    """Write how far the log was copied; without it, the log is read from its beginning."""
    with suppress(OSError):
        replace_record(directory / POSITION_FILE, position)
