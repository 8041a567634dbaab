"""What a request with a signed link is about. The link is the permission: nobody asks for a key."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.errors import NotFound
from launchd.server.services import Services

T = TypeVar("T")


async def linked_file(
    services: Services, action: str, request: Request, find: Callable[[Connection, int], T | None]
) -> T:
    """The file that the request's link lets its holder take this action on, as `find` has it by its id.

    Raises:
        NotAllowed: not a link of this server for this action, or too old.
        NotFound: the file was deleted.
    """
    file_id = services.links.file_id(action, request.path_params["token"])
    found = await services.database.read(lambda connection: find(connection, file_id))
    if found is None:
        raise NotFound("This file does not exist any more.")
    return found
