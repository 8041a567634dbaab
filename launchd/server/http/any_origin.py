"""Pages of any origin may use the links to files (CORS), as `wandb verify` asks of the store of a W&B server.

A link is the whole permission: nothing that a browser keeps for this server is part of such a request, so that a page
which has the link may use it as any program may.
"""

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINKS_BELOW = "/storage/"
"""Where a signed link is the whole permission, on any page."""
_ALLOWED = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, PUT",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Expose-Headers": "ETag",
}


class AnyOrigin:
    """Answers what a browser asks before it uses a link, and says the same in the answers to the link itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http" or not scope["path"].startswith(LINKS_BELOW):
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=_ALLOWED)(scope, receive, send)
        else:
            await self._app(scope, receive, _with_headers(send))


def _with_headers(send: Send) -> Send:
    async def send_allowing(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_ALLOWED)
        await send(message)

    return send_allowing
