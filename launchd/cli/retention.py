"""`launchd retention`: which ended runs the rules of the queue server let go, and their removal."""

from pathlib import Path

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.options import json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, echo, echo_json
from launchd.client.artifacts import apply_retention
from launchd.client.models.retention import RetainedNoLonger
from launchd.humanize import format_minute, zoned


@click.command()
@click.option("--remove", is_flag=True, help="Remove them now; the server does so by itself every hour.")
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def retention(remove: bool, json: bool, url: str | None, state_dir: Path | None) -> None:
    """Show the ended runs that the queue server's rules (`launchd server --keep-runs`) let go, and why.

    Never among them: a run that an item, a sweep or a living run needs, or that made an artifact with an alias or a
    link. The API key must be that of an administrator of the server.
    """
    with queue_server(url, state_dir) as server:
        found = apply_retention(server, remove=remove)
    if json:
        echo_json(msgspec.to_builtins(found))
        return
    if found.runs:
        headers = ("PROJECT", "RUN", zoned("ENDED"), "BYTES", "GOES", "WHY")
        echo(*table(headers, [_row(run) for run in found.runs], terminal_width()))
    done = "were removed" if remove else "would be removed"
    echo(f"{found.count} {'run' if found.count == 1 else 'runs'}, with {found.bytes} bytes of files: {done}.")


def _row(run: RetainedNoLonger) -> list[Span]:
    goes = "its files" if run.files_only else "all of it"
    cells = (run.entity_project, run.name, format_minute(run.ended_at), str(run.bytes), goes, run.reason)
    return [Span(cell) for cell in cells]
