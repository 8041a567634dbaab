"""The queue server as the command line runs it. Loaded only where its packages are needed: they are an extra."""

from typing import Any

import click

from launchd.cli.errors import report_errors
from launchd.server.errors import CannotStart
from launchd.server.serve import serve
from launchd.server.settings import ServerSettings


@report_errors(CannotStart)
def run_server(**options: Any) -> None:
    """Serve until SIGTERM, with options named as in `ServerSettings`; prints the address once requests are answered."""
    serve(ServerSettings(**options), ready=click.echo)
