"""Logs a new version of an artifact: W&B's operations in their order, the manifest and the upload of the files."""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from launchd.client.errors import Refused, ServerBusy
from launchd.client.file_packs import UPLOAD_PATH, PackLimits, into_packs, pack_limits, token_of, upload_pack
from launchd.client.operations import artifacts
from launchd.client.queue_server import QueueServer
from launchd.client.responses import CreatedVersion, UploadTarget
from launchd.client.transport import encoded
from launchd.client.upload_dir import CodeFile, digest_of

MANIFEST_NAME = "wandb_manifest.json"
COMMITTED = "COMMITTED"
LATEST = "latest"
FILES_PER_REQUEST = 500

#: Each of many small files takes a round trip and a write to the server's disk.
UPLOADS_AT_ONCE = 8


class NewArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A version to log. `aliases` are added to `latest`; `digest_extra` is hashed after names and contents of files."""

    entity: str
    project: str
    type: str
    name: str
    metadata: Mapping[str, Any]
    description: str | None = None
    aliases: tuple[str, ...] = ()
    digest_extra: tuple[str, ...] = ()


class LoggedArtifact(msgspec.Struct, frozen=True):
    """A logged version: its id; `known`: the server had the same content; `first`: there was no version before."""

    id: str
    known: bool
    first: bool


def log_artifact(
    server: QueueServer,
    artifact: NewArtifact,
    files: Sequence[CodeFile],
    on_sent: Callable[[int], None] = lambda _: None,
) -> LoggedArtifact:
    """Store the files as a new version; content that the server has already is not sent again.

    `on_sent` is called with the bytes of each file that was sent or need not be.

    Raises:
        QueueServerError: as `errors.py` says. `OSError`: a file cannot be read.
    """
    digests = {file.name: digest_of(file.path) for file in files}
    created = _create(server, artifact, digests)
    logged = LoggedArtifact(created.id, created.state == COMMITTED, created.artifact_sequence.latest_artifact is None)
    if logged.known:
        return logged
    manifest_id = _put_manifest(server, artifact, logged.id, None)
    limits = pack_limits(server, len(files))
    with ThreadPoolExecutor(UPLOADS_AT_ONCE, "upload") as pool:
        try:
            for batch in _batches(files, FILES_PER_REQUEST):
                places = _places(server, logged.id, manifest_id, batch, digests)
                alone = list(zip(batch, places, strict=True))
                if limits is not None:
                    alone = _put_in_packs(server, alone, digests, limits, on_sent)
                for size in pool.map(_put_file_at(server, digests), *zip(*alone, strict=True) if alone else ((), ())):
                    on_sent(size)
        finally:
            pool.shutdown(cancel_futures=True)
            # Those of its threads, which are gone.
            server.transport.close()
    _put_manifest(server, artifact, logged.id, _manifest(logged.id, files, digests))
    server.transport.call(artifacts.COMMIT_ARTIFACT, {"id": logged.id})
    return logged


def _create(server: QueueServer, artifact: NewArtifact, digests: Mapping[str, str]) -> CreatedVersion:
    aliases = dict.fromkeys([*artifact.aliases, LATEST])
    values = {
        "entityName": artifact.entity,
        "projectName": artifact.project,
        "artifactTypeName": artifact.type,
        "artifactCollectionName": artifact.name,
        "digest": _artifact_digest(digests, artifact.digest_extra),
        "digestAlgorithm": "MANIFEST_MD5",
        "description": artifact.description,
        "aliases": [{"artifactCollectionName": artifact.name, "alias": alias} for alias in aliases],
        "metadata": encoded(artifact.metadata).decode(),
        "clientID": secrets.token_hex(32),
        "sequenceClientID": secrets.token_hex(32),
        "enableDigestDeduplication": True,
    }
    return server.transport.call(artifacts.CREATE_ARTIFACT, {"input": values}).result.artifact


def _artifact_digest(digests: Mapping[str, str], extra: Sequence[str]) -> str:
    """Return W&B's digest of a manifest, over names and contents, and over the `extra` lines where there are any."""
    md5 = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
    for name in sorted(digests):
        md5.update(f"{name}:{digests[name]}\n".encode())
    for line in extra:
        md5.update(f"{line}\n".encode())
    return md5.hexdigest()


def _put_manifest(server: QueueServer, artifact: NewArtifact, artifact_id: str, content: bytes | None) -> str:
    """Create the manifest (`content` None) or upload it; returns its id."""
    digest = "" if content is None else b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    values = {
        "artifactID": artifact_id,
        "name": MANIFEST_NAME,
        "digest": digest,
        "entityName": artifact.entity,
        "projectName": artifact.project,
        "type": "FULL",
    }
    variables = {"input": values, "includeUpload": content is not None}
    manifest = server.transport.call(artifacts.CREATE_MANIFEST, variables).result.artifact_manifest
    if content is not None and manifest.file.upload_url:
        server.transport.upload(manifest.file.upload_url, manifest.file.headers(), content)
    return manifest.id


def _manifest(artifact_id: str, files: Sequence[CodeFile], digests: Mapping[str, str]) -> bytes:
    contents = {
        file.name: {"digest": digests[file.name], "size": file.size, "birthArtifactID": artifact_id} for file in files
    }
    return encoded(
        {
            "version": 1,
            "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": {"storageLayout": "V2"},
            "contents": contents,
        }
    )


def _places(
    server: QueueServer, artifact_id: str, manifest_id: str, files: Sequence[CodeFile], digests: Mapping[str, str]
) -> Sequence[UploadTarget]:
    """Return for each of the files where it is to be put."""
    specs = [
        {"artifactID": artifact_id, "artifactManifestID": manifest_id, "name": file.name, "md5": digests[file.name]}
        for file in files
    ]
    variables: dict[str, Any] = {"input": {"artifactFiles": specs, "storageLayout": "V2"}}
    targets = server.transport.call(artifacts.CREATE_FILES, variables).result.files.nodes
    if len(targets) != len(files):
        raise ServerBusy(f"The server at {server.base_url} offered {len(targets)} places for {len(files)} files.")
    return targets


def _put_in_packs(
    server: QueueServer,
    files: Sequence[tuple[CodeFile, UploadTarget]],
    digests: Mapping[str, str],
    limits: PackLimits,
    on_sent: Callable[[int], None],
) -> list[tuple[CodeFile, UploadTarget]]:
    """Upload the small ones of the files, many in a request; returns the others."""
    small, others = [], []
    for file, target in files:
        token = token_of(target.upload_url, UPLOAD_PATH)
        if token is None or file.size > limits.most_bytes_of_one:
            others.append((file, target))
        else:
            small.append((file, token))
    for pack in into_packs(small, lambda one: one[0].size, limits):
        contents = {token: file.path.read_bytes() for file, token in pack}
        try:
            upload_pack(server, contents)
        except Refused:
            for file, _ in pack:
                _check_unchanged(file, digests[file.name])
            raise
        for file, _ in pack:
            on_sent(file.size)
    return others


def _put_file_at(server: QueueServer, digests: Mapping[str, str]) -> Callable[[CodeFile, UploadTarget], int]:
    def put(file: CodeFile, target: UploadTarget) -> int:
        if target.upload_url:
            _put_unchanged(server, target.upload_url, target.headers(), file, digests[file.name])
        return file.size

    return put


def _put_unchanged(server: QueueServer, url: str, headers: Mapping[str, str], file: CodeFile, digest: str) -> None:
    """Upload a file; where storage refuses it because its content has changed meanwhile, the error says so."""
    try:
        _put_file(server, url, headers, file)
    except Refused:
        _check_unchanged(file, digest)
        raise


def _check_unchanged(file: CodeFile, digest: str) -> None:
    """Raise `Refused` where a file is not what it was when its upload was announced."""
    if digest_of(file.path) != digest:
        raise Refused(f"The file {file.path} changed while it was uploaded. Try again when nothing writes to it.")


def _put_file(server: QueueServer, url: str, headers: Mapping[str, str], file: CodeFile) -> None:
    if file.size == 0:  # requests sends an empty open file in chunks, which storage services refuse
        server.transport.upload(url, headers, b"")
        return
    with file.path.open("rb") as content:
        server.transport.upload(url, headers, content)


def _batches(files: Sequence[CodeFile], size: int) -> Iterator[Sequence[CodeFile]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
