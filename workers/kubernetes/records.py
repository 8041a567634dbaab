"""What a worker leaves on disk about a job in a cluster, for the workers that come after it.

``kubernetes.json``         how the job ended; there before its object is removed
``kubernetes-stop.json``    a stop was asked for
``kubernetes-output.json``  how far the log of each container was copied

Owns names, layout and durability of these files. Decides nothing.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from workers.record_files import read_record, replace_record

END_FILE = "kubernetes.json"
STOP_FILE = "kubernetes-stop.json"
OUTPUT_FILE = "kubernetes-output.json"


class EndRecord(msgspec.Struct, frozen=True):
    """The job of ``handle`` ended in ``state``."""

    handle: Handle
    state: JobState
    result: ExitResult


class StopRecord(msgspec.Struct, frozen=True):
    """A stop was asked for; the pods had ``grace_seconds`` to end."""

    grace_seconds: float


class LogPosition(msgspec.Struct, frozen=True):
    """A log was copied up to its entry of the time ``last``, the ``same``-th of that time."""

    last: str = ""
    same: int = 0
    is_whole: bool = False


class Positions(msgspec.Struct, frozen=True):
    """How far each log was copied, by ``POD/CONTAINER``, when the job's own files had ``written`` bytes."""

    written: int = 0
    logs: dict[str, LogPosition] = {}


def read_end(directory: Path) -> EndRecord | None:
    """Return the record of the end, or ``None``."""
    return read_record(directory / END_FILE, EndRecord)


def write_end(directory: Path, record: EndRecord) -> None:
    """Write the record so that it survives a power cut; raises :class:`OSError`."""
    replace_record(directory / END_FILE, record, durable=True)


def read_stop(directory: Path) -> StopRecord | None:
    """Return the record of a stop, or ``None``."""
    return read_record(directory / STOP_FILE, StopRecord)


def write_stop(directory: Path, record: StopRecord) -> None:
    """Write the record; raises :class:`OSError`."""
    replace_record(directory / STOP_FILE, record)


def read_positions(directory: Path) -> Positions:
    """Return how far the logs were copied."""
    return read_record(directory / OUTPUT_FILE, Positions) or Positions()


def write_positions(directory: Path, positions: Positions) -> None:
    """Write how far the logs were copied; without it, they are read from their beginning."""
    with suppress(OSError):
        replace_record(directory / OUTPUT_FILE, positions)
