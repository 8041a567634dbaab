"""`GET /artifactsV2/...`: a file of an artifact by its digest, with an API key. Clients fall back to it without a link.

The forms of the path, each after a region that this server ignores:

    {entity}/{birth artifact}/{md5}
    {entity}/{project}/{collection}/{birth artifact}/{md5}/{file name}
    {entity}/{project}/{collection}/{artifact}/{birth artifact}/{md5}/{file name}

Ids and digest identify the file, and its name where two contents of an artifact have one MD5. Any viewer who may use
the artifact may have it.
"""

import base64
import re
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.container import AppState
from launchd.server.errors import NotFound
from launchd.server.http.responses import blob_response
from launchd.server.models import ArtifactFile, Viewer
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.database import Lane

_MD5 = re.compile("[0-9a-f]{32}")
#: Index of the digest in each form, and of the first artifact's id.
_PLACES = ((3, 2), (5, 4), (6, 4))


@dataclass(frozen=True)
class Address:
    """Artifacts that may have the file, its digest in base64, as rows store it, and its name, where that is told."""

    artifact_ids: tuple[str, ...]
    md5: str
    name: str | None


def read_address(path: str) -> Address:
    """Parse the part of the path after `/artifactsV2/`.

    Raises:
        NotFound: it has none of the three forms.
    """
    parts = path.split("/")
    for digest, first in _PLACES:
        if len(parts) > digest and _MD5.fullmatch(parts[digest]):
            md5 = base64.b64encode(bytes.fromhex(parts[digest])).decode()
            return Address(tuple(parts[first:digest]), md5, "/".join(parts[digest + 1 :]) or None)
    raise NotFound("This address names no file of an artifact.")


def digest_route(app: AppState) -> Route:
    """The route."""

    async def download(request: Request) -> Response:
        viewer = await app.auth.viewer(request)
        address = read_address(request.path_params["address"])
        found = await app.database.read(lambda connection: _find(connection, viewer, address), Lane.FIRST)
        return blob_response(app.artifact_blobs, found.content)

    return Route("/artifactsV2/{address:path}", download, methods=["GET"])


def _find(connection: Connection, viewer: Viewer, address: Address) -> ArtifactFile:
    for artifact_id in address.artifact_ids:
        artifact = artifacts.find_artifact(connection, viewer, artifact_id)
        found = artifact and artifact_files.by_digest(connection, artifact, address.md5, address.name)
        if found:
            return found
    raise NotFound("There is no such file of an artifact that you may use.")
