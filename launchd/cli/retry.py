"""`launchd retry`: pushes what an item ran once more, as a new item."""

from pathlib import Path

import click

from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.options import server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_item
from launchd.cli.terminal import echo
from launchd.client.errors import Refused

#: What the server put into a run spec, or what belongs to the run that there was.
_OF_THE_OLD_RUN = ("run_id", "sweep_id", "author", "_resume_count")


@click.command()
@click.argument("item", metavar="ITEM|RUN|NAME", shell_complete=completion.items)
@click.option("-q", "--queue", help="Push to this queue of the same owner [default: that of the item].")
@server_options
@report_errors(*REMOTE_ERRORS)
def retry(item: str, queue: str | None, url: str | None, state_dir: Path | None) -> None:
    """Push what an item ran once more, in your name, as a new item with a run of its own.

    An item is named as for `launchd show`. It need not be over, and stays as it is.
    """
    with queue_server(url, state_dir) as server:
        found = require_item(server, item)
        if found.run_spec is None or found.entity_name is None or found.queue_name is None:
            raise Refused(f"The server does not say what item {found.id} ran.")
        spec = {key: value for key, value in found.run_spec.items() if key not in _OF_THE_OLD_RUN}
        name = queue or found.queue_name
        new = server.push(found.entity_name, name, spec, priority=found.priority)
    echo(f"Item {new} in queue {name!r} of {found.entity_name!r}, as item {found.id}")
