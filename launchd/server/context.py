"""The context of a GraphQL request: viewer, parts of the server, shortcuts to the store."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from graphql import GraphQLResolveInfo
from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.answer_budget import AnswerBudget
from launchd.server.container import AppState
from launchd.server.files.signed_urls import SignedLink
from launchd.server.models import Viewer
from launchd.server.store.database import Lane

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """One request: its viewer and the parts of the server."""

    app: AppState
    viewer: Viewer
    request: Request
    lane: Lane
    """In which this request reads."""
    answer: AnswerBudget

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a reading transaction."""
        return await self.app.database.read(lambda connection: work(connection, *args, **kwargs), self.lane)

    async def read_long(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `read`, for work that may take long in any request."""
        return await self.app.database.read(lambda connection: work(connection, *args, **kwargs), Lane.HEAVY)

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a writing transaction, which is on disk when this returns."""
        return await self.app.database.write(lambda connection: work(connection, *args, **kwargs))

    async def write_guarded(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, for work that may run beside others of its kind; see `Database.write_guarded`."""
        return await self.app.database.write_guarded(lambda connection: work(connection, *args, **kwargs))

    def link(self, action: str, file_id: int) -> str:
        """A signed link for this viewer: to do this to the file, as long as they may. Its rights are checked before."""
        link = SignedLink(file_id, self.viewer.user_id, self.viewer.key_id, self.viewer.item)
        return self.app.url_signer.sign(self.base_url, action, link)

    @property
    def base_url(self) -> str:
        """Start of absolute links, without a slash at the end."""
        return (self.app.settings.public_url or str(self.request.base_url)).rstrip("/")


Info = GraphQLResolveInfo[Context]
"""Second argument of every resolver."""
