"""`launchd agents`: lists the agents of the queue server."""

from pathlib import Path

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.options import entity_option, json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, resolve_entity
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, echo, echo_json
from launchd.client.queue_server import Agent
from launchd.humanize import format_minute, join_quoted

COLOURS = {"Polling": "green", "Running": "green", "Draining": "yellow", "Killed": "bright_black", "Lost": "red"}
HEADERS = ("ID", "NAME", "STATUS", "STARTED", "HOST", "QUEUES")


@click.command()
@json_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def agents(json: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """List the agents of the queue server.

    Polling (it has no job), Running, Draining (asked to leave), Killed (it has left) or Lost (no heartbeat).
    """
    with queue_server(url, state_dir) as server:
        registered = server.agents(resolve_entity(server, entity))
    if json:
        echo_json(msgspec.to_builtins(registered))
        return
    if not registered:
        echo("The queue server knows no agents.")
        return
    echo(*table(HEADERS, [_row(agent) for agent in registered], terminal_width()))


def _row(agent: Agent) -> list[Span]:
    status = agent_status(agent)
    return [
        Span(agent.id),
        Span(agent.name),
        Span(status, COLOURS.get(status)),
        Span(format_minute(agent.created_at)),
        Span(agent.hostname or "-"),
        Span(join_quoted(agent.queue_names) or "-"),
    ]


def agent_status(agent: Agent) -> str:
    """Return the agent's status, capitalized: W&B's, ``Draining``, or ``Lost`` where its heartbeat is missed."""
    status = (agent.status or "unknown").capitalize()
    return "Draining" if agent.stop_polling and status in ("Polling", "Running") else status
