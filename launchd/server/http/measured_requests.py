"""Counts and times every request, by what it asked for and how it was answered."""

import time
from collections.abc import MutableMapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from launchd.server.measures import ServerMeasures

_OPERATION = "launchd.operation"
_UNKNOWN = "unknown"


def name_operation(request: Request, operation: str) -> None:
    """Note what `request` asks for: a name out of the schema, never a sender's own."""
    request.scope[_OPERATION] = operation


class MeasuredRequests:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, measures: ServerMeasures) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # What is raised from here on becomes this status.
        status, begun = 500, time.monotonic()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            self._measures.request(_operation(scope), status, time.monotonic() - begun)


def _operation(scope: MutableMapping[str, Any]) -> str:
    route = scope.get("route")
    return str(scope.get(_OPERATION) or (route.path if route is not None else _UNKNOWN))
