"""`PUT /storage/upload/...` and `GET /storage/download/...`: artifact files. Owns what a signed link may do."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.bodies import announced_size, pieces_of
from launchd.server.errors import NotFound, Refused
from launchd.server.files.linked import linked_file
from launchd.server.files.links import DOWNLOAD, UPLOAD
from launchd.server.responses import content_response, json_response
from launchd.server.services import Services
from launchd.server.store import artifact_files


def storage_routes(services: Services) -> list[Route]:
    """The two routes. Neither asks for a key: the link is the permission."""

    async def upload(request: Request) -> Response:
        found = await linked_file(services, UPLOAD, request, artifact_files.find_file)
        if not found.md5:
            raise Refused("The digest of this file was not announced yet, so it cannot be uploaded.")
        pieces = pieces_of(request, services.settings.body_silence_seconds)
        async with services.contents.receiving(pieces, found.md5, announced_size(request)) as content:
            kept = await services.database.write(
                lambda connection: artifact_files.arrived(connection, found, content.sha256, content.size)
            )
        if not kept:
            raise NotFound("The artifact of this file has been deleted, or was announced with another content.")
        return json_response(200, {})

    async def download(request: Request) -> Response:
        found = await linked_file(services, DOWNLOAD, request, artifact_files.find_file)
        return content_response(services.contents, found.content)

    return [
        Route("/storage/upload/{token}", upload, methods=["PUT"]),
        Route("/storage/download/{token}", download, methods=["GET"]),
    ]
