"""Code directories as artifacts of a queue server: uploaded file by file, and brought back byte for byte.

Owns the order of W&B's artifact operations and the manifest. What it writes stays inside the directory it was given,
whatever names a server sends. Permission to execute, which artifacts do not carry, travels in the artifact's metadata.
"""

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from launchd.client.answers import FileFields, UploadTarget
from launchd.client.directories import IGNORED, CodeFile, code_files, digest_of
from launchd.client.documents import artifacts
from launchd.client.errors import Refused, ServerBusy
from launchd.client.queue_server import QueueServer
from launchd.client.transport import encoded

ARTIFACT_TYPE = "code"
MANIFEST_NAME = "wandb_manifest.json"
COMMITTED = "COMMITTED"
FILES_PER_REQUEST = 500
FILES_PER_PAGE = 1000
EXECUTABLES = "executables"  # our key in the artifact's metadata


class _Metadata(msgspec.Struct):
    executables: list[str] = []


def upload_directory(
    server: QueueServer, entity: str, project: str, name: str, path: Path, ignore: Sequence[str] = IGNORED
) -> str:
    """Store the files of `path` as a new version of the code artifact `name`; returns the artifact's id.

    A directory that the server has already, byte for byte, is not sent again. Raises the four errors of `errors.py`,
    `Refused` also for a directory without files, and `OSError` where a file cannot be read.
    """
    files = list(code_files(path, ignore))
    _check(files, path)
    digests = {file.name: digest_of(file.path) for file in files}
    artifact_id, state = _create(server, entity, project, name, files, digests)
    if state == COMMITTED:
        return artifact_id
    manifest_id = _put_manifest(server, entity, project, artifact_id, None)
    for batch in _batches(files, FILES_PER_REQUEST):
        _put_files(server, artifact_id, manifest_id, batch, digests)
    _put_manifest(server, entity, project, artifact_id, _manifest(artifact_id, files, digests))
    server.transport.call(artifacts.COMMIT_ARTIFACT, {"id": artifact_id})
    return artifact_id


def _check(files: Sequence[CodeFile], path: Path) -> None:
    if not files:
        raise Refused(f"There are no files to upload in {path}.")
    for file in files:
        if not file.name.isprintable():  # covers names that are not UTF-8, which Python holds as surrogates
            raise Refused(f"The file name {file.name!r} cannot be sent: it has characters that are not printable text.")


def _create(
    server: QueueServer, entity: str, project: str, name: str, files: Sequence[CodeFile], digests: Mapping[str, str]
) -> tuple[str, str]:
    executables = [file.name for file in files if file.executable]
    values = {
        "entityName": entity,
        "projectName": project,
        "artifactTypeName": ARTIFACT_TYPE,
        "artifactCollectionName": name,
        "digest": _artifact_digest(digests, executables),
        "digestAlgorithm": "MANIFEST_MD5",
        "aliases": [{"artifactCollectionName": name, "alias": "latest"}],
        "metadata": encoded({EXECUTABLES: executables}).decode(),
        "clientID": secrets.token_hex(32),
        "sequenceClientID": secrets.token_hex(32),
        "enableDigestDeduplication": True,
    }
    artifact = server.transport.call(artifacts.CREATE_ARTIFACT, {"input": values}).result.artifact
    return artifact.id, artifact.state


def _artifact_digest(digests: Mapping[str, str], executables: Sequence[str]) -> str:
    """W&B's digest of a manifest, over names and contents; ours also covers permissions where there are any."""
    md5 = hashlib.md5(b"wandb-artifact-manifest-v1\n", usedforsecurity=False)
    for name in sorted(digests):
        md5.update(f"{name}:{digests[name]}\n".encode())
    for name in executables:
        md5.update(f"{name}:x\n".encode())
    return md5.hexdigest()


def _put_manifest(server: QueueServer, entity: str, project: str, artifact_id: str, content: bytes | None) -> str:
    """Announce the manifest (no `content` yet) or deliver it; returns its id."""
    digest = "" if content is None else b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    values = {
        "artifactID": artifact_id,
        "name": MANIFEST_NAME,
        "digest": digest,
        "entityName": entity,
        "projectName": project,
        "type": "FULL",
    }
    variables = {"input": values, "includeUpload": content is not None}
    manifest = server.transport.call(artifacts.CREATE_MANIFEST, variables).result.artifact_manifest
    if content is not None and manifest.file.upload_url:
        server.transport.upload(manifest.file.upload_url, _headers(manifest.file), content)
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


def _put_files(
    server: QueueServer, artifact_id: str, manifest_id: str, files: Sequence[CodeFile], digests: Mapping[str, str]
) -> None:
    specs = [
        {"artifactID": artifact_id, "artifactManifestID": manifest_id, "name": file.name, "md5": digests[file.name]}
        for file in files
    ]
    variables: dict[str, Any] = {"input": {"artifactFiles": specs, "storageLayout": "V2"}}
    targets = server.transport.call(artifacts.CREATE_FILES, variables).result.files.edges
    if len(targets) != len(files):
        raise ServerBusy(f"The server at {server.base_url} offered {len(targets)} places for {len(files)} files.")
    for file, target in zip(files, targets, strict=True):
        if target.node.upload_url:
            _put_file(server, target.node.upload_url, _headers(target.node), file)


def _put_file(server: QueueServer, url: str, headers: Mapping[str, str], file: CodeFile) -> None:
    if file.size == 0:  # requests sends an empty open file in chunks, which storage services refuse
        server.transport.upload(url, headers, b"")
        return
    with file.path.open("rb") as content:
        server.transport.upload(url, headers, content)


def _headers(target: UploadTarget) -> dict[str, str]:
    pairs = (header.partition(":") for header in target.upload_headers or ())
    return {name: value.strip() for name, _, value in pairs}


def _batches(files: Sequence[CodeFile], size: int) -> Iterator[Sequence[CodeFile]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]


def download_artifact(server: QueueServer, artifact_id: str, into: Path) -> None:
    """Bring all files of an artifact into the directory `into`, which is made if missing.

    Every file is checked against its digest. Raises the four errors of `errors.py`: `Refused` for an unknown artifact
    and for a name that leads out of `into`, `ServerBusy` for content that arrived damaged; and `OSError` where a file
    cannot be written.
    """
    into.mkdir(parents=True, exist_ok=True)
    root = into.resolve()
    for file, executable in _stored_files(server, artifact_id):
        target = _inside(root, file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _get_file(server, file, target)
        if executable:
            target.chmod(target.stat().st_mode | 0o111)


def _stored_files(server: QueueServer, artifact_id: str) -> Iterator[tuple[FileFields, bool]]:
    """All files of an artifact, page by page, each with whether it may be executed."""
    after: str | None = None
    while True:
        variables = {"id": artifact_id, "after": after, "first": FILES_PER_PAGE}
        found = server.transport.call(artifacts.ARTIFACT_FILES, variables).result
        if found is None or found.files is None:
            raise Refused(f"The server at {server.base_url} has no artifact {artifact_id}.")
        executables = set(_executables(found.metadata))
        for edge in found.files.edges:
            yield edge.node, edge.node.name in executables
        after = found.files.page_info.end_cursor
        if not found.files.page_info.has_next_page or after is None:
            return


def _executables(metadata: str | None) -> list[str]:
    """What our own uploads note in the metadata; that of others may be anything."""
    try:
        return msgspec.json.decode(metadata or "{}", type=_Metadata).executables
    except msgspec.DecodeError:
        return []


def _inside(root: Path, name: str) -> Path:
    """The place of a file below `root`; refuses names and links that lead elsewhere."""
    parts = PurePosixPath(name).parts
    target = root.joinpath(*parts)
    if not parts or ".." in parts or "\0" in name or not target.resolve().is_relative_to(root) or target == root:
        raise Refused(f"The artifact has a file named {name!r}, which would lie outside of its directory.")
    return target


def _get_file(server: QueueServer, file: FileFields, target: Path) -> None:
    if file.direct_url is None:
        raise Refused(f"The content of {file.name!r} was never uploaded.")
    with server.transport.download(file.direct_url) as chunks, target.open("wb") as content:
        for chunk in chunks:
            content.write(chunk)
    if file.digest and digest_of(target) != file.digest:
        target.unlink()
        raise ServerBusy(f"The file {file.name!r} arrived damaged: its content does not have the digest {file.digest}.")
