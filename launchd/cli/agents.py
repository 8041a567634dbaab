"""`launchd agents`: the agents as the queue server knows them."""

from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.format import joined, minute
from launchd.cli.options import REMOTE_ERRORS, entity_of, entity_option, queue_server, server_options
from launchd.cli.tables import Cell, table, terminal_width
from launchd.client.queue_server import Agent

COLOURS = {"Polling": "green", "Running": "green", "Killed": "bright_black", "Lost": "red"}
HEADERS = ("ID", "NAME", "STATUS", "STARTED", "HOST", "QUEUES")


@click.command()
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def agents(entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """List the agents that the queue server knows: Polling (no job), Running, Killed (has left) or Lost (silent)."""
    with queue_server(url, state_dir) as server:
        found = server.agents(entity_of(server, entity))
    if not found:
        click.echo("The queue server knows no agents.")
        return
    click.echo("\n".join(table(HEADERS, [_row(agent) for agent in found], terminal_width())))


def _row(agent: Agent) -> list[Cell]:
    status = status_of(agent)
    return [
        Cell(agent.id),
        Cell(agent.name),
        Cell(status, COLOURS.get(status)),
        Cell(minute(agent.created_at)),
        Cell(agent.hostname or "-"),
        Cell(joined(agent.queue_names)),
    ]


def status_of(agent: Agent) -> str:
    """W&B's word for the agent's status, or the server's ``Lost`` for one that was to be heard and was not."""
    return (agent.status or "unknown").capitalize()
