"""`PUT /storage/upload/...`, `PUT /storage/upload-part/...` and `GET /storage/download/...`: files of artifacts."""

import base64

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.container import AppState
from launchd.server.errors import Refused
from launchd.server.files.blob_store import Blob
from launchd.server.files.signed_urls import DOWNLOAD, UPLOAD, UPLOAD_PART
from launchd.server.http.responses import blob_response, json_response
from launchd.server.routes.linked import linked_file, receive
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import parts as artifact_parts

_NOT_EXPECTED = (
    "The artifact of this file has been committed or deleted, the file was announced with another digest or has another"
    " content with this MD5 already, or who got this link may not write there any more."
)
_PART_NOT_EXPECTED = (
    "This part is not expected any more, has another content with this MD5 already, or who got this link may not write"
    " there any more."
)


def storage_routes(app: AppState) -> list[Route]:
    """The routes. They need no API key: the signed link is the permission."""

    async def upload(request: Request) -> Response:
        linked = await linked_file(app, UPLOAD, request, artifact_files.linked_file)
        found = linked.file
        if not found.md5:
            raise Refused("The digest of this file was not announced yet, so it cannot be uploaded.")

        def arrived(connection: Connection, blob: Blob) -> bool:
            kept = linked.still(connection)
            return kept and artifact_files.arrived(connection, found, blob.sha256, blob.size, linked.holder.user_id)

        await receive(app, request, app.artifact_blobs, found.md5, arrived, _NOT_EXPECTED)
        return json_response(200, {})

    async def upload_part(request: Request) -> Response:
        linked = await linked_file(app, UPLOAD_PART, request, artifact_parts.linked_part)
        found = linked.file

        def arrived(connection: Connection, blob: Blob) -> bool:
            kept = linked.still(connection)
            return kept and artifact_parts.arrived(connection, found.id, blob.sha256, blob.size)

        await receive(app, request, app.artifact_blobs, found.md5, arrived, _PART_NOT_EXPECTED)
        response = json_response(200, {})
        # Clients send it back when they complete the upload.
        response.headers["ETag"] = f'"{base64.b64decode(found.md5).hex()}"'
        return response

    async def download(request: Request) -> Response:
        linked = await linked_file(app, DOWNLOAD, request, artifact_files.linked_file)
        return blob_response(app.artifact_blobs, linked.file.content)

    return [
        Route("/storage/upload/{token}", upload, methods=["PUT"]),
        Route("/storage/upload-part/{token}", upload_part, methods=["PUT"]),
        Route("/storage/download/{token}", download, methods=["GET"]),
    ]
