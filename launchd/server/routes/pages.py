"""The web pages: one document for all of their addresses, and the files that it loads.

Who opens one has sent no key yet, so none of these files says anything of what exists. The pages ask for a key, and
then ask `/graphql` and `/launchd/outputs`, as every other client does: who may see what is decided there.
"""

import os
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

WEB_PATH = "/launchd/web"
PAGE_PATHS = (
    "/",
    "/authorize",
    "/{entity}/launch",
    "/{entity}/launch/{queue}",
    "/{entity}/launch/items/{item}",
    "/{entity}/{project}",
    "/{entity}/{project}/workspace",
    "/{entity}/{project}/jobs",
    "/{entity}/{project}/runs/{run}",
    "/{entity}/{project}/sweeps/{sweep}",
)
"""The addresses of pages. W&B's clients print those of keys, projects, jobs, runs and sweeps."""

_DIRECTORY = Path(__file__).parents[1] / "web"
_HEADERS = {
    # Nothing from elsewhere, nothing that is written into a page, and no other site may show one as its own.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # A browser asks each time whether a file has changed, so that a newer server has newer pages at once.
    "Cache-Control": "no-cache",
}


class _WebFiles(StaticFiles):
    """Files of the pages, with the headers of pages."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(_HEADERS)
        return response


def page_routes() -> list[BaseRoute]:
    """The HTTP routes of pages; `/{entity}/{project}` is any address of two words, so these come last."""
    files = Mount(WEB_PATH, _WebFiles(directory=_DIRECTORY))
    return [files, *(Route(path, _page, methods=["GET"]) for path in PAGE_PATHS)]


def wants_page(request: Request) -> bool:
    """Return whether a person asks, by a browser: programs ask for no HTML."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def page(status: int = 200) -> Response:
    """The document of all pages; where there is none at the address, it says so."""
    return FileResponse(_DIRECTORY / "index.html", status, headers=_HEADERS)


async def _page(_: Request) -> Response:
    return page()
