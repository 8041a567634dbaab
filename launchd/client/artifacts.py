"""Directories as artifacts of a queue server: upload, download, and removal of files that are no longer needed.

A download writes inside its directory alone, also where a server sends other names. Artifacts do not carry the
permission to execute; it is kept in the artifact's metadata.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from launchd.client.artifact_logging import NewArtifact, log_artifact
from launchd.client.errors import Refused, ServerBusy
from launchd.client.file_packs import DOWNLOAD_PATH, download_pack, into_packs, pack_limits, token_of
from launchd.client.models.retention import CollectedGarbage, Retention
from launchd.client.operations import artifacts, launchd_protocol
from launchd.client.queue_server import QueueServer
from launchd.client.responses import FileFields
from launchd.client.upload_dir import IGNORED, CodeFile, CodeListing, digest_of, list_code_files

ARTIFACT_TYPE = "code"
FILES_PER_PAGE = 1000
_UNFIT_NAME = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STORED = ("http://", "https://")
EXECUTABLES = "executables"  # key in the artifact's metadata: names of the files that may be executed

#: How long the server may take to collect garbage.
COLLECTION_SECONDS = 600.0


class _Metadata(msgspec.Struct):
    executables: list[str] = []


_metadata_decoder = msgspec.json.Decoder(_Metadata)


def upload_directory(
    server: QueueServer,
    entity: str,
    project: str,
    name: str,
    path: Path,
    ignore: Sequence[str] = IGNORED,
    include: Sequence[str] = (),
    on_listed: Callable[[CodeListing], None] = lambda _: None,
    on_sent: Callable[[int], None] = lambda _: None,
) -> str:
    """Store the files of `path` as a new version of the code artifact `name`; returns the artifact's id.

    Content that the server has already is not sent again. `on_listed` is called, before anything is sent, with what is
    sent and what is left out; what matches `include` is not left out. `on_sent` is called with the bytes of each file
    that was sent.

    Raises:
        QueueServerError: as `errors.py` says; `Refused` also for a directory without files.
        OSError: a file cannot be read.
    """
    listing = list_code_files(path, ignore, include)
    files = listing.files
    _check(files, path)
    on_listed(listing)
    executables = tuple(file.name for file in files if file.executable)
    artifact = NewArtifact(
        entity=entity,
        project=project,
        type=ARTIFACT_TYPE,
        name=name,
        metadata={EXECUTABLES: executables},
        digest_extra=tuple(f"{file}:x" for file in executables),
    )
    return log_artifact(server, artifact, files, on_sent).id


def _check(files: Sequence[CodeFile], path: Path) -> None:
    if not files:
        raise Refused(f"There are no files to upload in {path}.")
    for file in files:
        # Names that are not UTF-8 are held by Python as surrogates.
        if _UNFIT_NAME.search(file.name):
            raise Refused(
                f"The file name {file.name!r} cannot be sent: it is no Unicode text, or has characters that"
                " control lines or the direction of writing."
            )


def download_artifact(server: QueueServer, artifact_id: str, into: Path) -> None:
    """Download all files of an artifact into the directory `into`, which is made if missing, and check their digests.

    Raises:
        QueueServerError: as `errors.py` says; `Refused` also for an unknown artifact and for a name that leads out of
            `into`, `ServerBusy` for content that arrived damaged.
        OSError: a file cannot be written.
    """
    into.mkdir(parents=True, exist_ok=True)
    root = into.resolve()
    for files in _pages_of_files(server, artifact_id):
        executables = {file.name for file, executable in files if executable}
        for file, content in _contents(server, [file for file, _ in files]):
            target = _inside(root, file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            _get_file(server, file, target, content)
            if file.name in executables:
                target.chmod(target.stat().st_mode | 0o111)


def _contents(server: QueueServer, files: Sequence[FileFields]) -> Iterator[tuple[FileFields, bytes | None]]:
    """Yield all the files: small ones with their contents, many of which come by one request, others without."""
    limits = pack_limits(server, len(files))
    if limits is None:
        yield from ((file, None) for file in files)
        return
    small: list[tuple[str, FileFields]] = []
    for file in files:
        token = token_of(file.direct_url, DOWNLOAD_PATH)
        if token is None or (file.size_bytes or 0) > limits.most_bytes_of_one:
            yield file, None
        else:
            small.append((token, file))
    for pack in into_packs(small, lambda one: one[1].size_bytes or 0, limits):
        found = download_pack(server, [token for token, _ in pack])
        yield from ((file, found[token]) for token, file in pack)


def _pages_of_files(server: QueueServer, artifact_id: str) -> Iterator[list[tuple[FileFields, bool]]]:
    """Yield all files of an artifact, page by page, each with whether it may be executed."""
    after: str | None = None
    while True:
        variables = {"id": artifact_id, "after": after, "first": FILES_PER_PAGE}
        found = server.transport.call(artifacts.ARTIFACT_FILES, variables).result
        if found is None or found.files is None:
            raise Refused(f"The server at {server.base_url} has no artifact {artifact_id}.")
        executables = set(_executables(found.metadata))
        yield [(file, file.name in executables) for file in found.files.nodes]
        after = found.files.next_page
        if after is None:
            return


def _executables(metadata: str | None) -> list[str]:
    """Return the names that :func:`upload_directory` left in the metadata; other clients' metadata has any form."""
    try:
        return _metadata_decoder.decode(metadata or "{}").executables
    except msgspec.DecodeError:
        return []


def _inside(root: Path, name: str) -> Path:
    """Return the path of a file below `root`; raises `Refused` for names and links that lead elsewhere."""
    parts = PurePosixPath(name).parts
    target = root.joinpath(*parts)
    if not parts or ".." in parts or "\0" in name or not target.resolve().is_relative_to(root) or target == root:
        raise Refused(f"The artifact has a file named {name!r}, which would lie outside of its directory.")
    return target


def _get_file(server: QueueServer, file: FileFields, target: Path, content: bytes | None = None) -> None:
    """Write a file, whose `content` may be here already; raises `QueueServerError`."""
    if file.direct_url is None:
        raise Refused(f"The content of {file.name!r} was never uploaded.")
    if not file.direct_url.startswith(_STORED):
        raise Refused(f"{file.name!r} is not stored at the server; it is a reference to {file.direct_url}.")
    if content is not None:
        target.write_bytes(content)
    else:
        with server.transport.download(file.direct_url) as chunks, target.open("wb") as opened:
            for chunk in chunks:
                opened.write(chunk)
    if file.digest and digest_of(target) != file.digest:
        target.unlink()
        raise ServerBusy(f"The file {file.name!r} arrived damaged: its content does not have the digest {file.digest}.")


def collect_garbage(server: QueueServer) -> CollectedGarbage:
    """Have the server remove the files that nothing names any more. Raises `QueueServerError`. Launchd protocol."""
    if not server.capabilities().launchd_protocol:
        raise Refused(f"The server at {server.base_url} is not launchd's: it removes unused files in its own way.")
    return server.transport.call(launchd_protocol.COLLECT_GARBAGE, {"input": {}}, COLLECTION_SECONDS).result


def apply_retention(server: QueueServer, *, remove: bool) -> Retention:
    """Return what the server's rules of retention let go now, and with `remove` have it removed.

    Raises `QueueServerError`. Launchd protocol.
    """
    if not server.capabilities().launchd_protocol:
        raise Refused(f"The server at {server.base_url} is not launchd's: it has no rules of retention.")
    variables = {"input": {"remove": remove}}
    return server.transport.call(launchd_protocol.APPLY_RETENTION, variables, COLLECTION_SECONDS).result
