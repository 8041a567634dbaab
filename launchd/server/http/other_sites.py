"""Requests that pages of other sites make are refused.

A browser that was once asked for a name and a password sends them along with each request to this server, also one of a
page that a job serves on another port of the host. Browsers say where a request comes from; other clients do not.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from launchd.server.http.any_origin import LINKS_BELOW
from launchd.server.http.responses import error_response

_ELSEWHERE = ("cross-site", "same-site")


class OtherSites:
    """Passes on what is no request of another site's page; a link that is followed is none."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and _is_of_another_site(scope):
            refusal = error_response(403, "Pages of other sites may not use this queue server.")
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_of_another_site(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if headers.get("sec-fetch-site") not in _ELSEWHERE or scope["path"].startswith(LINKS_BELOW):
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in ("GET", "HEAD")
    return not is_link
