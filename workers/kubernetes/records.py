"""What a worker leaves on disk about a job in a cluster, for the workers that come after it.

``kubernetes.json``         how the job ended; there before its object is removed
``kubernetes-stop.json``    a stop was asked for
``kubernetes-output.json``  how far the log of each container was copied
``kubernetes-taken.json``   which pods the cluster took away
``kubernetes-ran``          the job has run before

Owns names, layout and durability of these files. Decides nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from ipc.handles import ExitResult, Handle
from ipc.states import JobState
from workers.record_files import read_record, replace_record

END_FILE = "kubernetes.json"
STOP_FILE = "kubernetes-stop.json"
OUTPUT_FILE = "kubernetes-output.json"
TAKEN_FILE = "kubernetes-taken.json"
RAN_FILE = "kubernetes-ran"


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


class TakenRecord(msgspec.Struct, frozen=True):
    """Pods that were taken away from the job, by their uid, as the cluster showed them."""

    pods: dict[str, dict[str, Any]] = {}


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


def read_taken(directory: Path) -> TakenRecord:
    """Return which pods were taken away."""
    return read_record(directory / TAKEN_FILE, TakenRecord) or TakenRecord()


def write_taken(directory: Path, taken: TakenRecord) -> None:
    """Write which pods were taken away; without it, a worker that takes the job over may not know."""
    with suppress(OSError):
        replace_record(directory / TAKEN_FILE, taken)


def has_run(directory: Path) -> bool:
    """Return whether a worker has seen the job run."""
    return (directory / RAN_FILE).exists()


def note_run(directory: Path) -> None:
    """Note that the job runs; without it, a worker that takes over a job that waits again takes it for a start."""
    with suppress(OSError):
        (directory / RAN_FILE).touch()
