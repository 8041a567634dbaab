"""Records on disk about a job, each a small file that is replaced as a whole."""

import os
from pathlib import Path
from typing import TypeVar

import msgspec

from ipc.directories import sync_names

T = TypeVar("T")


def read_record(path: Path, kind: type[T]) -> T | None:
    """Return the record in a file, or ``None`` where there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def replace_record(path: Path, record: msgspec.Struct, *, durable: bool = False) -> None:
    """Write a record in place of an earlier one, which stays where that fails; raises :class:`OSError`.

    A ``durable`` one survives a power cut.
    """
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(record))
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if durable:
        sync_names(path.parent)
