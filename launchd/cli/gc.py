"""`launchd gc`: has the queue server remove files that nothing names any more."""

from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.options import server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.terminal import echo
from launchd.client.artifacts import collect_garbage


@click.command()
@server_options
@report_errors(*REMOTE_ERRORS)
def gc(url: str | None, state_dir: Path | None) -> None:
    """Have the queue server remove the files of deleted and unfinished artifacts and of deleted runs.

    The server does so by itself every hour. The API key must be that of an administrator of the server.
    """
    with queue_server(url, state_dir) as server:
        done = collect_garbage(server)
    echo(f"Removed {done.removed_files} files of {done.removed_bytes} bytes; {done.used_bytes} bytes are in use.")
