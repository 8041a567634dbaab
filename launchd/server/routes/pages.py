"""Plain pages at the addresses that W&B's clients print: what is there, and which commands show it.

They ask nothing and tell nothing of what exists: who opens one has sent no key. All they show is their own address.
"""

import html
import shlex

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

RUN_PATH = "/{entity}/{project}/runs/{run}"
SWEEP_PATH = "/{entity}/{project}/sweeps/{sweep}"

_LONGEST = 400
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
<h1>{title}</h1>
<p>This queue server has no pages of runs. These commands show what it has, with your key:</p>
<pre>{commands}</pre>
<p>From another machine, first: <code>launchd login --host {address}</code></p>
</body>
</html>
"""


def page_routes() -> list[Route]:
    """The HTTP routes of pages."""
    return [Route(RUN_PATH, _run, methods=["GET"]), Route(SWEEP_PATH, _sweep, methods=["GET"])]


async def _run(request: Request) -> HTMLResponse:
    path = request.path_params
    run = _word(path["run"])
    whole = _word("/".join((path["entity"], path["project"], path["run"])))
    return _page(
        request,
        f"Run {path['run']} of project {path['project']} of {path['entity']}",
        f"launchd run show {whole}     # its config, summary and metrics",
        f"launchd show {run}     # the item that it came from: host, times, outcome",
        f"launchd logs {run}     # its output",
        f"launchd stop {run}     # stop it",
    )


async def _sweep(request: Request) -> HTMLResponse:
    path = request.path_params
    return _page(
        request,
        f"Sweep {path['sweep']} of project {path['project']} of {path['entity']}",
        f"wandb sweep --stop {_word('/'.join((path['entity'], path['project'], path['sweep'])))}",
        "launchd queue list",
    )


def _word(text: str) -> str:
    return shlex.quote(text[:_LONGEST])


def _page(request: Request, title: str, *commands: str) -> HTMLResponse:
    address = f"{request.url.scheme}://{request.url.netloc}"
    shown = _PAGE.format(
        title=html.escape(title[: 4 * _LONGEST]),
        commands=html.escape("\n".join(commands)),
        address=html.escape(shlex.quote(address)),
    )
    return HTMLResponse(shown, headers=_HEADERS)
