"""Decoding of W&B's artifact manifests. Does not check that the files exist."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from launchd.server.errors import Refused
from launchd.server.models import ManifestEntry

T = TypeVar("T")

_MOST_BYTES = 256 * 1024 * 1024


class _Entry(msgspec.Struct, frozen=True):
    digest: str
    size: int = 0
    ref: str | None = None


class _Manifest(msgspec.Struct, frozen=True):
    contents: dict[str, _Entry]
    version: int = 1


_manifest_decoder = msgspec.json.Decoder(_Manifest)
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def join_manifests(paths: Sequence[Path]) -> bytes:
    """Return one manifest of several: what a later one says of a file replaces what an earlier one said.

    Raises:
        Refused: one is no manifest, or they are too big together.
    """
    if sum(path.stat().st_size for path in paths) > _MOST_BYTES:
        raise Refused(f"The artifact's manifests are together bigger than {_MOST_BYTES} bytes.")
    joined: dict[str, Any] = {}
    contents: dict[str, Any] = {}
    for path in paths:
        said = _decode(_object_decoder, path)
        read_manifest(path)
        contents |= said["contents"]
        joined |= said
    return msgspec.json.encode(joined | {"contents": contents})


def read_manifest(path: Path) -> list[ManifestEntry]:
    """The files of a manifest and its references to files elsewhere.

    Raises:
        Refused: too big, or not a manifest.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise Refused(f"The manifest is bigger than {_MOST_BYTES} bytes.")
    manifest = _decode(_manifest_decoder, path)
    return [
        ManifestEntry(name=name, md5=entry.digest, size=entry.size, reference=entry.ref)
        for name, entry in manifest.contents.items()
    ]


def _decode(decoder: msgspec.json.Decoder[T], path: Path) -> T:
    try:
        return decoder.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"The artifact's manifest cannot be read: {error}.") from error
