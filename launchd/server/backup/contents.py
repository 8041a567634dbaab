"""Copies what stands beside the database: contents of artifacts and runs, outputs of jobs, keys. Follows no link."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from launchd.server.private_files import make_private_directory

_BUFFER = 1024 * 1024
#: Below a directory of contents or outputs: those that begin with the same two characters are together.
_ENTRIES = "??/*"
_KEYS = ("admin.key", "links.key", "reset-keys/*.key")


class Copied(msgspec.Struct):
    """What was copied."""

    files: int = 0
    bytes: int = 0
    damaged: list[Path] = []
    """Contents that are not what their name says; they were left out."""


def copy_contents(source: Path, target: Path, earlier: Path | None, copied: Copied) -> None:
    """Copy what a `BlobStore` has in `source`, each content checked by its name; adds to `copied`.

    What `earlier` has, a directory of the same kind, is linked from there rather than copied.
    """
    make_private_directory(target)
    for path in entries_of(source):
        place = target / path.relative_to(source)
        make_private_directory(place.parent)
        known = earlier / path.relative_to(source) if earlier is not None else None
        if not (known is not None and _linked(known, place, path.stat().st_size)) and not _copied_whole(path, place):
            copied.damaged.append(path)
            continue
        copied.files += 1
        copied.bytes += place.stat().st_size


def copy_file(source: Path, target: Path) -> None:
    """Copy one file, for this user alone."""
    make_private_directory(target.parent)
    with source.open("rb") as file, _new_file(target) as copy:
        shutil.copyfileobj(file, copy, _BUFFER)


def entries_of(directory: Path) -> Iterator[Path]:
    """The contents or outputs below a directory, in the order of their names."""
    return (path for path in sorted(directory.glob(_ENTRIES)) if path.is_file())


def keys_of(directory: Path) -> Iterator[Path]:
    """Files with keys in a data directory, or a backup of one."""
    return (path for pattern in _KEYS for path in sorted(directory.glob(pattern)))


def _linked(known: Path, place: Path, size: int) -> bool:
    try:
        if known.stat().st_size != size:
            return False
        os.link(known, place)
    except OSError:
        # Not there, on another file system, or linked too often.
        return False
    return True


def _copied_whole(source: Path, target: Path) -> bool:
    """Copy a content; False, and no copy, where it is not the one of its name."""
    digest = hashlib.sha256()
    with source.open("rb") as file, _new_file(target) as copy:
        while piece := file.read(_BUFFER):
            digest.update(piece)
            copy.write(piece)
    if digest.hexdigest() == source.name:
        return True
    target.unlink()
    return False


def _new_file(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
