"""What every resolver gets. Owns the shortcuts to the store that carry the viewer along."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec, TypeVar

from graphql import GraphQLResolveInfo
from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.container import AppState
from launchd.server.models import Viewer

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """One request: who sent it, and what it may use."""

    app: AppState
    viewer: Viewer
    request: Request

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a reading transaction."""
        return await self.app.database.read(lambda connection: work(connection, *args, **kwargs))

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)` in a writing transaction; it is on disk when this returns."""
        return await self.app.database.write(lambda connection: work(connection, *args, **kwargs))

    async def write_guarded(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As `write`, for work that may run beside others of its kind; see `Database.write_guarded`."""
        return await self.app.database.write_guarded(lambda connection: work(connection, *args, **kwargs))

    @property
    def base_url(self) -> str:
        """What absolute links start with, without a slash at the end."""
        return (self.app.settings.public_url or str(self.request.base_url)).rstrip("/")


Info = GraphQLResolveInfo[Context]
"""Second argument of every resolver."""
