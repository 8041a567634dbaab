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


def storage_routes(app: AppState) -> list[Route]:
    """The routes. They need no API key: the signed link is the permission."""

    async def upload(request: Request) -> Response:
        found = await linked_file(app, UPLOAD, request, artifact_files.find_file)
        if not found.md5:
            raise Refused("The digest of this file was not announced yet, so it cannot be uploaded.")

        def arrived(connection: Connection, blob: Blob) -> bool:
            return artifact_files.arrived(connection, found, blob.sha256, blob.size)

        missing_message = "The artifact of this file has been deleted, or was announced with another content."
        await receive(app, request, app.artifact_blobs, found.md5, arrived, missing_message)
        return json_response(200, {})

    async def upload_part(request: Request) -> Response:
        found = await linked_file(app, UPLOAD_PART, request, artifact_parts.find_part)

        def arrived(connection: Connection, blob: Blob) -> bool:
            return artifact_parts.arrived(connection, found.id, blob.sha256, blob.size)

        await receive(app, request, app.artifact_blobs, found.md5, arrived, "This part is not expected any more.")
        response = json_response(200, {})
        # Clients send it back when they complete the upload.
        response.headers["ETag"] = f'"{base64.b64decode(found.md5).hex()}"'
        return response

    async def download(request: Request) -> Response:
        found = await linked_file(app, DOWNLOAD, request, artifact_files.find_file)
        return blob_response(app.artifact_blobs, found.content)

    return [
        Route("/storage/upload/{token}", upload, methods=["PUT"]),
        Route("/storage/upload-part/{token}", upload_part, methods=["PUT"]),
        Route("/storage/download/{token}", download, methods=["GET"]),
    ]
