"""What a request with a signed link is about, and what it brings. The link is the permission: nobody asks for a key."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.container import AppState
from launchd.server.errors import NotFound
from launchd.server.files.blob_store import Blob, BlobStore
from launchd.server.http.request_body import content_length, iter_body

T = TypeVar("T")


async def linked_file(app: AppState, action: str, request: Request, find: Callable[[Connection, int], T | None]) -> T:
    """The file that the request's link lets its holder take this action on, as `find` has it by its id.

    Raises:
        NotAllowed: not a link of this server for this action, or too old.
        NotFound: the file was deleted.
    """
    file_id = app.url_signer.file_id(action, request.path_params["token"])
    found = await app.database.read(lambda connection: find(connection, file_id))
    if found is None:
        raise NotFound("This file does not exist any more.")
    return found


async def receive(
    app: AppState,
    request: Request,
    blobs: BlobStore,
    md5: str | None,
    arrived: Callable[[Connection, Blob], bool],
    missing_message: str,
) -> None:
    """Keep the request's body, whose MD5 is `md5` if that is known, and note with `arrived` that it is here.

    Raises:
        Refused: too big, no room, cut off, or another content than promised. Nothing is left of it.
        NotFound: it is not awaited any more, as `arrived` says; `otherwise` is the sentence for it.
        TooSlow, StoreUnavailable: it can be sent again.
    """
    chunks = iter_body(request, app.settings.body_timeout_seconds)
    async with blobs.receiving(chunks, md5, content_length(request)) as blob:
        kept = await app.database.write(lambda connection: arrived(connection, blob))
    if not kept:
        raise NotFound(missing_message)
