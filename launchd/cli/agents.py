"""`launchd agents`: lists the agents of the queue server."""

from pathlib import Path
from typing import Any

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.item_view import as_json, author_of, name_of
from launchd.cli.options import entity_option, json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, resolve_entity
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, echo, echo_json
from launchd.client.queue_server import Agent, Item
from launchd.humanize import format_minute, join_quoted, zoned

COLOURS = {"Polling": "green", "Running": "green", "Draining": "yellow", "Killed": "bright_black", "Lost": "red"}
#: An agent that was not heard for so long, and has no item, is not shown.
SHOWN_SECONDS = 7 * 24 * 3600.0

JOB_COLOURS = {"running": "green", "stopping": "yellow", "unknown": "red"}


@click.command()
@click.option("--all", "all_agents", is_flag=True, help="Also those that are long gone.")
@json_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def agents(all_agents: bool, json: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """List the agents of the queue server, and the items that they have.

    Polling (it has no job), Running, Draining (it takes no more jobs), Killed (it has left) or Lost (no heartbeat). One
    that was not heard for seven days, and has no item, is left out of the table.
    """
    with queue_server(url, state_dir) as server:
        registered = server.agents_with_items(resolve_entity(server, entity))
    if json:
        echo_json([_as_json(agent) for agent in registered])
        return
    if not registered:
        echo("The queue server knows no agents.")
        return
    shown = registered if all_agents else [agent for agent in registered if not _is_long_gone(agent)]
    headers: tuple[str, ...] = ("ID", "NAME", "STATUS", zoned("STARTED"), "HOST", "QUEUES")
    echo(*table(headers, [_row(agent) for agent in shown], terminal_width()))
    if len(shown) < len(registered):
        echo(f"Not shown: {len(registered) - len(shown)} that were not heard for 7 days; --all shows them.", err=True)
    jobs = [_job_row(agent, item) for agent in shown for item in agent.held_items or ()]
    if jobs:
        headers = ("ITEM", "HOST", "RUN", "PHASE", zoned("RUNS SINCE"), "AUTHOR", "ABOUT")
        echo("", *table(headers, jobs, terminal_width()))


def _is_long_gone(agent: Agent) -> bool:
    return (agent.seconds_since_heartbeat or 0.0) > SHOWN_SECONDS and not agent.held_items


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


def _job_row(agent: Agent, item: Item) -> list[Span]:
    phase = item.phase or item.status or item.state.lower()
    return [
        Span(item.id),
        Span(agent.hostname or "-"),
        Span(item.associated_run_id or "-"),
        Span(phase, JOB_COLOURS.get(phase)),
        Span(format_minute(item.started_at)),
        Span(author_of(item.run_spec)),
        Span(name_of(item.run_spec)),
    ]


def _as_json(agent: Agent) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(agent, held_items=None))
    return values | {"heldItems": [as_json(item) for item in agent.held_items or ()]}


def agent_status(agent: Agent) -> str:
    """Return the agent's status, capitalized: W&B's, ``Draining``, or ``Lost`` where its heartbeat is missed."""
    status = (agent.status or "unknown").capitalize()
    return "Draining" if agent.stop_polling and status in ("Polling", "Running") else status
