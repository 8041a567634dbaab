"""`/storage/packs`: many small files of artifacts in one request, each by its signed link. GET says how many.

PUT takes an archive of links' tokens and contents, POST gives one for a list of tokens; `launchd.client.file_packs` has
its form. No key is asked for: each link is the permission for its file. All of a pack is stored, or nothing.
"""

import asyncio

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.client.file_packs import LINK_HEADER, PACKS_PATH, PackLimits, packed, unpacked
from launchd.server.container import AppState
from launchd.server.errors import NotFound, Refused
from launchd.server.files.blob_store import Blob
from launchd.server.files.signed_urls import DOWNLOAD, UPLOAD
from launchd.server.http.responses import json_response
from launchd.server.models import ArtifactFile
from launchd.server.routes.linked import Linked, linked_files
from launchd.server.store.artifacts import files as artifact_files

#: A pack that is stored has an open file for each member.
LIMITS = PackLimits(most_files=64, most_bytes_of_one=64 * 1024, most_bytes=4 * 1024 * 1024)
_MOST_BYTES_OF_ONE_MEMBERS_HEAD = 1024
_MOST_BODY_BYTES = LIMITS.most_bytes + LIMITS.most_files * _MOST_BYTES_OF_ONE_MEMBERS_HEAD

_NOT_EXPECTED = (
    "An artifact of these files has been committed or deleted, a file was announced with another digest or has another"
    " content with this MD5 already, or who got these links may not write there any more."
)


class _Wanted(msgspec.Struct, frozen=True):
    tokens: list[str]


_wanted_decoder = msgspec.json.Decoder(_Wanted)


def pack_routes(app: AppState) -> list[Route]:
    """The routes."""
    # One after the other: what is stored is held open.
    storing = asyncio.Semaphore()

    async def limits(_: Request) -> Response:
        return json_response(200, msgspec.to_builtins(LIMITS))

    async def upload(request: Request) -> Response:
        app.url_signer.read(UPLOAD, request.headers.get(LINK_HEADER, ""))
        body = await app.bodies.read(request, _MOST_BODY_BYTES)
        contents = await asyncio.to_thread(unpacked, body)
        if not contents:
            raise Refused("This is no pack of files.")
        _check(len(contents), max(map(len, contents.values())))
        linked = await linked_files(app, UPLOAD, list(contents), artifact_files.linked_file)
        if not all(one.file.md5 for one in linked):
            raise Refused("The digest of a file was not announced yet, so it cannot be uploaded.")
        given = [(content, one.file.md5) for one, content in zip(linked, contents.values(), strict=True)]
        async with storing, app.artifact_blobs.storing(given) as blobs:
            await app.database.write(lambda connection: _arrived(connection, linked, blobs))
        return json_response(200, {})

    async def download(request: Request) -> Response:
        body = await app.bodies.read(request, LIMITS.most_files * _MOST_BYTES_OF_ONE_MEMBERS_HEAD)
        try:
            tokens = _wanted_decoder.decode(body).tokens
        except msgspec.DecodeError as error:
            raise Refused("This is no list of files.") from error
        _check(len(tokens), 0)
        linked = await linked_files(app, DOWNLOAD, tokens, artifact_files.linked_file)
        contents = await asyncio.to_thread(_read_all, app, [one.file.content for one in linked])
        archive = packed(dict(zip(tokens, contents, strict=True)))
        headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
        return Response(archive, headers=headers, media_type="application/octet-stream")

    return [
        Route(PACKS_PATH, limits, methods=["GET"]),
        Route(PACKS_PATH, upload, methods=["PUT"]),
        Route(PACKS_PATH, download, methods=["POST"]),
    ]


def _check(files: int, biggest: int) -> None:
    if files > LIMITS.most_files or biggest > LIMITS.most_bytes_of_one:
        raise Refused(f"A pack has {LIMITS.most_files} files at most, of {LIMITS.most_bytes_of_one} bytes each.")


def _arrived(connection: Connection, linked: list[Linked[ArtifactFile]], blobs: list[Blob]) -> None:
    for one, blob in zip(linked, blobs, strict=True):
        kept = one.still(connection)
        if not kept or not artifact_files.arrived(connection, one.file, blob.sha256, blob.size, one.holder.user_id):
            raise NotFound(_NOT_EXPECTED)


def _read_all(app: AppState, digests: list[str | None]) -> list[bytes]:
    contents = []
    for digest in digests:
        if digest is None:
            raise NotFound("One of these files has not been uploaded.")
        path = app.artifact_blobs.path(digest)
        _check(1, path.stat().st_size)
        contents.append(path.read_bytes())
    return contents
