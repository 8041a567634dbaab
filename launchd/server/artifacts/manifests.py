"""Decoding of W&B's artifact manifests. Does not check that the files exist."""

from pathlib import Path

import msgspec

from launchd.server.errors import Refused
from launchd.server.models import ManifestEntry

_MOST_BYTES = 256 * 1024 * 1024


class _Entry(msgspec.Struct, frozen=True):
    digest: str
    size: int = 0
    ref: str | None = None


class _Manifest(msgspec.Struct, frozen=True):
    contents: dict[str, _Entry]
    version: int = 1


_manifest_decoder = msgspec.json.Decoder(_Manifest)


def read_manifest(path: Path) -> list[ManifestEntry]:
    """The files of a manifest and its references to files elsewhere.

    Raises:
        Refused: too big, or not a manifest.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise Refused(f"The manifest is bigger than {_MOST_BYTES} bytes.")
    try:
        manifest = _manifest_decoder.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"The artifact's manifest cannot be read: {error}.") from error
    return [
        ManifestEntry(name=name, md5=entry.digest, size=entry.size, reference=entry.ref)
        for name, entry in manifest.contents.items()
    ]
