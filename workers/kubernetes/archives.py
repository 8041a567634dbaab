"""Files on their way into pods: packed, and cut into Secrets where there is no better way."""

import base64
import tarfile
from pathlib import Path
from typing import Any

Object = dict[str, Any]

#: What the archive with a job's files is called that no image has: in the job's directory, and where its pod finds it.
CODE_ARCHIVE = "code.tgz"
#: A Secret of Kubernetes' holds a MiB at most.
PART_BYTES = 900 << 10
#: How many Secrets the files of one job or build may take.
MOST_PARTS = 20


def pack(directory: Path, archive: Path) -> None:
    """Write what is in ``directory`` into an archive, as root's; raises :class:`OSError`."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        tar.add(directory, arcname=".", filter=_as_root)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def part_names(prefix: str) -> tuple[str, ...]:
    """Return the names that the Secrets of an archive may have."""
    return tuple(f"{prefix}-{number}" for number in range(MOST_PARTS))


def parts_of(archive: Path, prefix: str, file: str) -> tuple[Object, ...]:
    """Return an archive as Secrets; mounted together they have ``file``, or its parts in order, each named ``file.NN``.

    Raises:
        OSError: the archive cannot be read.
    """
    is_whole = archive.stat().st_size <= PART_BYTES
    parts: list[Object] = []
    with archive.open("rb") as content:
        while piece := content.read(PART_BYTES):
            key = file if is_whole else f"{file}.{len(parts):02}"
            metadata = {"name": f"{prefix}-{len(parts)}"}
            parts.append({"metadata": metadata, "data": {key: base64.b64encode(piece).decode()}})
    return tuple(parts)


def volume_of(parts: tuple[Object, ...]) -> Object:
    """Return the source of a volume with all parts of an archive."""
    return {"projected": {"sources": [{"secret": {"name": part["metadata"]["name"]}} for part in parts]}}
