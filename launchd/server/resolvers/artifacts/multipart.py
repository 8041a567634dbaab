"""Multipart uploads of artifact files: the links of the parts, and the end of the upload."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import NotFound, Refused
from launchd.server.files.signed_urls import UPLOAD_PART
from launchd.server.models import ArtifactFile, FilePart, Viewer
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import parts as artifact_parts
from launchd.server.store.ids import parse_storage_id, row_number, storage_id

mutation = MutationType()
bindables = [mutation]

_COMPLETE = "Complete"
_KIND = "Upload"


def digests_of(name: str, given: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Digests in base64 of the parts that a client announces as `UploadPartsInput`.

    Raises:
        Refused: they are not numbered 1, 2, 3 ..., or a digest is malformed.
    """
    if [each["part_number"] for each in given] != list(range(1, len(given) + 1)):
        raise Refused(f"The parts of {name[:100]!r} are not numbered 1, 2, 3 and so on.")
    return tuple(_base64_of(name, each["hex_md5"]) for each in given)


def _base64_of(name: str, digest: str) -> str:
    """Clients send the ETag of a part back as its digest, which HTTP puts in quotes."""
    plain = digest.strip('"')
    try:
        return base64.b64encode(bytes.fromhex(plain)).decode()
    except ValueError as error:
        raise Refused(f"{digest[:60]!r}, given for a part of {name[:100]!r}, is no MD5 in hex.") from error


def urls_of(info: Info, parts: Sequence[FilePart]) -> dict[str, Any]:
    """The `UploadMultipartUrls` of a file's parts."""
    urls = [{"part_number": part.number, "upload_url": info.context.link(UPLOAD_PART, part.id)} for part in parts]
    return {"upload_id": storage_id(_KIND, parts[0].file_id), "upload_url_parts": urls}


@mutation.field("completeMultipartUploadArtifact")
async def complete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Idempotent, because the response may be lost."""
    context = info.context
    artifact_id, upload_id = input["artifact_id"], input["upload_id"]
    if input["complete_multipart_action"] != _COMPLETE:
        await context.write(_abort, context.viewer, artifact_id, upload_id)
        return {"digest": None}
    file, parts = await context.read(_upload, context.viewer, artifact_id, upload_id)
    if file.content is None:
        _check(file, parts, digests_of(file.name, input["completed_parts"]))
        await context.app.multipart_assembler.assemble(file, parts, context.viewer.user_id)
        context.app.garbage_collector.collect_soon()
    return {"digest": file.md5}


def _upload(
    connection: Connection, viewer: Viewer, artifact_id: str, upload_id: str
) -> tuple[ArtifactFile, list[FilePart]]:
    artifact = artifacts.require_artifact(connection, viewer, artifact_id)
    number = row_number(parse_storage_id(upload_id, _KIND)[0])
    file = None if number is None else artifact_files.find_file(connection, number)
    if file is None or file.artifact_number != artifact.number:
        raise NotFound(f"Artifact {artifact.title!r} has no upload with the id {upload_id[:100]!r}.")
    return file, artifact_parts.of_file(connection, file.id)


def _abort(connection: Connection, viewer: Viewer, artifact_id: str, upload_id: str) -> None:
    file, _ = _upload(connection, viewer, artifact_id, upload_id)
    artifact_parts.remove(connection, file.id)


def _check(file: ArtifactFile, parts: Sequence[FilePart], completed: Sequence[str]) -> None:
    if not parts:
        raise Refused(f"File {file.name!r} is not uploaded in parts: put the whole file to its uploadUrl.")
    missing = [str(part.number) for part in parts if part.content is None]
    if missing:
        raise Refused(f"Of file {file.name!r}, part {', '.join(missing[:20])} has not been uploaded.")
    if list(completed) != [part.md5 for part in parts]:
        raise Refused(f"The completed parts of file {file.name!r} are not those that were announced.")
