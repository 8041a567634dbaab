"""Requests with a signed link: finding the file, receiving its body. They need no API key."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.container import AppState
from launchd.server.errors import NotFound
from launchd.server.files.blob_store import Blob, BlobStore
from launchd.server.files.signed_urls import WRITING, SignedLink
from launchd.server.http.request_body import content_length
from launchd.server.models import LinkHolder, Role
from launchd.server.store.database import Lane

T = TypeVar("T")
Find = Callable[[Connection, LinkHolder, int], T | None]
"""Loads a file by its id, if the holder of the link may still use it; None where it is gone or they may not."""


@dataclass(frozen=True)
class Linked(Generic[T]):
    """The file of a link, and who holds the link."""

    file: T
    file_id: int
    holder: LinkHolder
    find: Find[T]

    def still(self, connection: Connection) -> bool:
        """Whether the holder may use the file even now."""
        return self.find(connection, self.holder, self.file_id) is not None


async def linked_file(app: AppState, action: str, request: Request, find: Find[T]) -> Linked[T]:
    """The file on which the request's link permits this action; raises as `linked_files` does."""
    return (await linked_files(app, action, [request.path_params["token"]], find))[0]


async def linked_files(app: AppState, action: str, tokens: Sequence[str], find: Find[T]) -> list[Linked[T]]:
    """The files on which links permit this action, by the last parts of the links.

    Raises:
        NotAllowed: not a link of this server for this action, or too old.
        NotFound: the file was deleted, or the user who got the link may not do this any more.
    """
    links = [app.url_signer.read(action, token) for token in tokens]
    role = Role.MEMBER if action in WRITING else Role.VIEWER

    def load(connection: Connection) -> list[Linked[T]]:
        return [_linked(connection, link, role, find) for link in links]

    return await app.database.read(load, Lane.FIRST)


def _linked(connection: Connection, link: SignedLink, role: Role, find: Find[T]) -> Linked[T]:
    holder = LinkHolder(user_id=link.user_id, key_id=link.key_id, item=link.item, role=role)
    found = find(connection, holder, link.file_id)
    if found is None:
        raise NotFound("This file does not exist any more, or who got this link may not use it any more.")
    return Linked(found, link.file_id, holder, find)


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
    chunks = app.bodies.pieces(request)
    async with blobs.receiving(chunks, md5, content_length(request)) as blob:
        kept = await app.database.write(lambda connection: arrived(connection, blob))
    if not kept:
        raise NotFound(missing_message)
