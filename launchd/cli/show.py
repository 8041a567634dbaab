"""`launchd show`: everything that the queue server knows of one item."""

from pathlib import Path

import click

from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.item_view import as_json, item_lines
from launchd.cli.options import json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_item
from launchd.cli.terminal import echo, echo_json
from launchd.cli.web_pages import item_page
from launchd.client.queue_server import Agent, Item, QueueServer

EXAMPLES = """\b
Examples:
  launchd show d63e3be6
  launchd show @last
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN|NAME", shell_complete=completion.items)
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def show(item: str, json: bool, url: str | None, state_dir: Path | None) -> None:
    """Show everything of one item: what it runs, for whom, where, since when, how it ended, and what to do.

    An item is named by its id or the beginning of it, by its run, by its name (the newest of that name), or by @last,
    the one that you pushed last.
    """
    with queue_server(url, state_dir) as server:
        found = require_item(server, item)
        page = item_page(server, found)
        if json:
            echo_json({**as_json(found), "page": page})
            return
        echo(*item_lines(found, _agent_of(server, found), _reasons(server, found), page))


def _agent_of(server: QueueServer, item: Item) -> Agent | None:
    if item.launch_agent_id is None or item.entity_name is None:
        return None
    return next((agent for agent in server.agents(item.entity_name) if agent.id == item.launch_agent_id), None)


def _reasons(server: QueueServer, item: Item) -> list[str]:
    """Return why an item waits; of one that does not, its message says it."""
    if item.state != "PENDING" or not server.capabilities().gpu_claims:
        return []
    found = server.why(item.id)
    return [one.sentence for one in found.why] if found is not None else []
