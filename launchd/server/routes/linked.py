"""Requests with a signed link: finding the file, receiving its body. They need no API key."""

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
    """The file on which the request's link permits this action; `find` loads it by its id.

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
    """Store the request's body, whose MD5 is `md5` if that is known, and record it in the database by `arrived`.

    Raises:
        Refused: too big, no room, incomplete, or not the promised content. Nothing is kept.
        NotFound: it is not expected any more, as `arrived` returned; `missing_message` says so.
        TooSlow, StoreUnavailable: the request can be repeated.
    """
    chunks = iter_body(request, app.settings.body_timeout_seconds)
    async with blobs.receiving(chunks, md5, content_length(request)) as blob:
        kept = await app.database.write(lambda connection: arrived(connection, blob))
    if not kept:
        raise NotFound(missing_message)
