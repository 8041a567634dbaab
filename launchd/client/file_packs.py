"""Many small files in one request, at launchd's own server: a ZIP archive without compression, of links and contents.

A request for each file costs the server more than what is in it. Each member is named by the last part of the signed
link of its file, which is the permission for it alone. Owns the form of these requests; who wants them asks
:func:`pack_limits` first, for other servers have none.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from launchd.client.errors import QueueServerError, ServerBusy
from launchd.client.queue_server import QueueServer

UPLOAD_PATH, DOWNLOAD_PATH = "/storage/upload/", "/storage/download/"
PACKS_PATH = "/storage/packs"

#: The header of an upload with the token of one of its links, which is looked at before the body is.
LINK_HEADER = "Launchd-Link"

#: Below this many it is not worth a question.
FEW_FILES = 16

T = TypeVar("T")


class PackLimits(msgspec.Struct, frozen=True):
    """What one request may have: members, bytes of each, and bytes of all together."""

    most_files: int
    most_bytes_of_one: int
    most_bytes: int


_limits_decoder = msgspec.json.Decoder(PackLimits)


def pack_limits(server: QueueServer, files: int) -> PackLimits | None:
    """Return what the server takes in one request; None where it takes one file each, or there are few."""
    if files < FEW_FILES or not server.capabilities().launchd_protocol:
        return None
    try:
        with server.transport.download(server.base_url + PACKS_PATH) as chunks:
            return _limits_decoder.decode(b"".join(chunks))
    except (QueueServerError, msgspec.DecodeError):
        # An older one.
        return None


def into_packs(items: Iterable[T], size_of: Callable[[T], int], limits: PackLimits) -> Iterator[list[T]]:
    """Yield the items in their order, in packs within the limits; one that is too big alone is in a pack of its own."""
    pack: list[T] = []
    size = 0
    for item in items:
        if pack and (len(pack) == limits.most_files or size + size_of(item) > limits.most_bytes):
            yield pack
            pack, size = [], 0
        pack.append(item)
        size += size_of(item)
    if pack:
        yield pack


def token_of(url: str | None, path: str) -> str | None:
    """Return the last part of a signed link of launchd's own server, None for any other."""
    before, found, token = (url or "").rpartition(path)
    return token if found and before and "/" not in token and "?" not in token else None


def upload_pack(server: QueueServer, contents: Mapping[str, bytes]) -> None:
    """Store contents by the tokens of their links; raises `QueueServerError`, and then none of them is stored."""
    server.transport.upload(server.base_url + PACKS_PATH, {LINK_HEADER: next(iter(contents))}, packed(contents))


def download_pack(server: QueueServer, tokens: Sequence[str]) -> dict[str, bytes]:
    """Return contents by the tokens of their links.

    Raises:
        QueueServerError: as `errors.py` says; `ServerBusy` also for an answer without one of them.
    """
    body = msgspec.json.encode({"tokens": tokens})
    found = unpacked(server.transport.ask_storage(server.base_url + PACKS_PATH, body))
    if found is None or set(tokens) - found.keys():
        raise ServerBusy(f"The server at {server.base_url} sent a part of the files that it was asked for.")
    return found


def packed(contents: Mapping[str, bytes]) -> bytes:
    """Return the archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes] | None:
    """Return the members of an archive, None for what is none, or may be bigger than it looks.

    Compressed members may, and those that share their bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            is_compressed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
            if is_compressed or sum(one.file_size for one in members) > len(data):
                return None
            return {one.filename: archive.read(one) for one in members}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError):
        return None
