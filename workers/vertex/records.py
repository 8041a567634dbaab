"""What a worker leaves on disk about a job on Vertex AI, for the workers that come after it.

``vertex.json``      the job was asked for, where, and what it is called there
``output.position``  how far its output was copied

Owns names, layout and durability of these files. Decides nothing.
"""

from contextlib import suppress
from pathlib import Path

import msgspec

from ipc.boot_clock import BootMoment
from workers.record_files import read_record, replace_record
from workers.vertex.request import Place

CREATE_FILE = "vertex.json"
POSITION_FILE = "output.position"


class CreateRecord(msgspec.Struct, frozen=True):
    """The job was asked for at ``place`` at the moment ``asked``; ``job`` is its whole name once that is known."""

    place: Place
    asked: BootMoment
    job: str | None = None


class LogPosition(msgspec.Struct, frozen=True):
    """How far a log was copied: ``ids`` are the entries that were taken by then, those of the last minutes, by time.

    ``written`` is the position of the job's own files then.
    """

    ids: dict[str, str]
    written: int


def read_create(directory: Path) -> CreateRecord | None:
    """Return the record of the job's creation, or ``None``."""
    return read_record(directory / CREATE_FILE, CreateRecord)


def write_create(directory: Path, record: CreateRecord) -> None:
    """Write the record so that it survives a power cut; raises :class:`OSError`."""
    replace_record(directory / CREATE_FILE, record, durable=True)


def remove_create(directory: Path) -> None:
    """Remove the record: what was asked for was refused."""
    with suppress(OSError):
        (directory / CREATE_FILE).unlink(missing_ok=True)


def read_position(directory: Path) -> LogPosition | None:
    """Return how far the output was copied, or ``None``."""
    return read_record(directory / POSITION_FILE, LogPosition)


def write_position(directory: Path, position: LogPosition) -> None:
    """Write how far the output was copied; without it, it is read from its beginning."""
    with suppress(OSError):
        replace_record(directory / POSITION_FILE, position)
