"""`launchd queue`: create, change, list, show, pause, open and delete queues, and rearrange what waits in them."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from ipc.targets import DEFAULT_RESOURCE
from launchd.api.sources import PRIORITIES
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.item_view import COLOURS, as_json, author_of, name_of
from launchd.cli.json_args import resource_arguments
from launchd.cli.options import entity_option, json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_entity, require_item, resolve_entity
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, confirm, echo, echo_json
from launchd.cli.unheeded import warn_of_unheeded
from launchd.client.errors import Refused
from launchd.client.queue_server import Item, QueueDetail, QueueSettings
from launchd.humanize import format_minute, format_moment, one_line, zoned

_ITEM_HEADERS = ("ITEM", "STATE", "PRIORITY", "RUN", "AUTHOR", "HOST")


@click.group()
def queue() -> None:
    """Create, change, list, show, pause and delete queues, and move what waits in them."""


@queue.command(epilog="\b\nExample:\n  launchd queue create nightly --resource local-process")
@click.argument("name")
@click.option(
    "-r", "--resource", default=DEFAULT_RESOURCE, show_default=True, help="Resource that runs the queue's jobs."
)
@click.option("-c", "--config", default="{}", metavar="JSON|FILE", help="Resource arguments of all jobs of the queue.")
@click.option("--priorities/--no-priorities", default=True, show_default=True, help="Whether items have priorities.")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def create(
    name: str, resource: str, config: str, priorities: bool, entity: str | None, url: str | None, state_dir: Path | None
) -> None:
    """Create a queue."""
    arguments = resource_arguments(config, "--config", resource)
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        if server.queue(owner, name) is not None:
            change = f"launchd queue update {shlex.quote(name)}"
            raise Refused(f"There is a queue {name!r} of {owner!r} already. Change it with: {change}")
        mode = "V0" if priorities else "DISABLED"
        server.create_queue(owner, name, resource=resource, config=arguments, prioritization=mode)
    echo(f"Queue {name!r} of {owner!r} was created.")
    warn_of_unheeded({"resource_args": {resource: arguments}})


@queue.command(epilog="\b\nExample:\n  launchd queue update nightly --no-priorities")
@click.argument("name", shell_complete=completion.queues)
@click.option("-r", "--resource", help="Resource that runs the queue's jobs [default: as it is].")
@click.option(
    "-c", "--config", metavar="JSON|FILE", help="Resource arguments of all jobs of the queue [default: as they are]."
)
@click.option("--priorities/--no-priorities", default=None, help="Whether items have priorities [default: as it is].")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def update(
    name: str,
    resource: str | None,
    config: str | None,
    priorities: bool | None,
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """Change the settings of a queue; what is not named stays as it is. Items that wait already keep what they have."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        before = server.queue_settings(owner, name)
        if before is None:
            raise _no_queue(name, owner)
        after = resource or before.resource or DEFAULT_RESOURCE
        arguments = _arguments_of(before) if config is None else resource_arguments(config, "--config", after)
        warnings = server.upsert_queue(
            owner,
            name,
            resource=after,
            config=arguments,
            prioritization=_mode(before, priorities),
            template_variables=before.template_variables,
            external_links=before.external_links,
        )
    echo(f"Queue {name!r} of {owner!r} was changed.")
    for warning in warnings:
        echo(f"Warning: {warning}", err=True)
    if config is not None:
        warn_of_unheeded({"resource_args": {after: arguments}})


def _no_queue(name: str, owner: str) -> Refused:
    advice = f"See which there are with: launchd queue list --entity {shlex.quote(owner)}"
    return Refused(f"There is no queue {name!r} of {owner!r}. {advice}")


def _arguments_of(settings: QueueSettings) -> dict[str, Any]:
    """Return the arguments that a queue gives its resource."""
    by_resource = (settings.config or {}).get("resource_args") or {}
    return by_resource.get(settings.resource or DEFAULT_RESOURCE) or {}


def _mode(settings: QueueSettings, priorities: bool | None) -> str:
    """Return W&B's word for whether items have priorities: as wanted, else as it is."""
    if priorities is None:
        return settings.prioritization_mode or "DISABLED"
    return "V0" if priorities else "DISABLED"


@queue.command("list")
@json_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_queues(json: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """List the queues, with the numbers of items that wait and that are taken."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        details = server.queue_details(owner)
        if not details:
            require_entity(server, owner)
    if json:
        echo_json(msgspec.to_builtins(details))
        return
    if not details:
        echo(f"There are no queues of {owner!r}. Create one with: launchd queue create NAME")
        return
    rows = [[Span(text) for text in _summary(detail)] for detail in details]
    echo(*table(("NAME", "RESOURCE", "WAITING", "TAKEN", "PRIORITIES", "PAUSED"), rows, terminal_width()))


@queue.command()
@click.argument("name", shell_complete=completion.queues)
@click.option("-n", "--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="Items to show.")
@json_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def show(name: str, limit: int, json: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Show a queue and its items, newest first."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        detail = server.queue(owner, name)
        if detail is None:
            raise _no_queue(name, owner)
        items = server.queue_items(owner, name, limit + 1)
        hosts = {agent.id: agent.hostname for agent in server.agents(owner)} if items else {}
    if json:
        echo_json({"queue": msgspec.to_builtins(detail), "items": [as_json(item) for item in items[:limit]]})
        return
    _, resource, waiting, taken, priorities, _ = _summary(detail)
    echo(f"Queue {name!r} of {owner!r}: {resource}, {waiting} waiting, {taken} taken, priorities: {priorities}")
    if detail.paused_at is not None:
        since = f"since {format_moment(detail.paused_at)}, by {detail.paused_by}"
        echo(
            [Span(f"Paused {since}: it gives out nothing until `launchd queue resume {shlex.quote(name)}`.", "yellow")]
        )
    if items:
        rows = [_item_row(item, hosts) for item in items[:limit]]
        echo(*table((*_ITEM_HEADERS, zoned("CREATED"), "ABOUT"), rows, terminal_width()))
    if len(items) > limit:
        echo(f"The {limit} newest are shown; --limit {min(1000, 10 * limit)} shows more.", err=True)


@queue.command(epilog="\b\nExample:\n  launchd queue pause nightly")
@click.argument("name", shell_complete=completion.queues)
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def pause(name: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Pause a queue: it gives out nothing more, to any agent. What agents have runs on, and items can be pushed."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        server.set_queue_paused(owner, name, paused=True)
    echo(
        f"Queue {name!r} of {owner!r} is paused: it gives out nothing until `launchd queue resume {shlex.quote(name)}`."
    )


@queue.command()
@click.argument("name", shell_complete=completion.queues)
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def resume(name: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Have a paused queue give out items again."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        server.set_queue_paused(owner, name, paused=False)
    echo(f"Queue {name!r} of {owner!r} gives out items.")


@queue.command(epilog="\b\nExample:\n  launchd queue move d63e3be6 nightly")
@click.argument("item", metavar="ITEM|RUN|NAME", shell_complete=completion.items)
@click.argument("queue_name", metavar="QUEUE", shell_complete=completion.queues)
@server_options
@report_errors(*REMOTE_ERRORS)
def move(item: str, queue_name: str, url: str | None, state_dir: Path | None) -> None:
    """Put an item that waits into another queue of the same owner, for the same resource.

    It stays as old as it is, and keeps the resource arguments that its queue has added. An item is named as for
    `launchd show`.
    """
    with queue_server(url, state_dir) as server:
        found = require_item(server, item)
        owner = found.entity_name or resolve_entity(server, None)
        server.move_item(found.id, owner, queue_name)
    echo(f"Item {found.id} was moved from queue {found.queue_name!r} to queue {queue_name!r} of {owner!r}.")


@queue.command(epilog="\b\nExample:\n  launchd queue priority d63e3be6 critical")
@click.argument("item", metavar="ITEM|RUN|NAME", shell_complete=completion.items)
@click.argument("level", type=click.Choice([*PRIORITIES, *map(str, PRIORITIES.values())]))
@server_options
@report_errors(*REMOTE_ERRORS)
def priority(item: str, level: str, url: str | None, state_dir: Path | None) -> None:
    """Give an item that waits another priority: by its name, or as a number from 0 (critical) to 3 (low).

    An item is named as for `launchd show`.
    """
    number = PRIORITIES[level] if level in PRIORITIES else int(level)
    with queue_server(url, state_dir) as server:
        found = require_item(server, item)
        server.set_priority(found.id, number)
    name = next(word for word, one in PRIORITIES.items() if one == number)
    echo(f"Item {found.id} has the priority {name} ({number}).")


@queue.command()
@click.argument("name", shell_complete=completion.queues)
@click.option("--allow/--refuse", "allowed", required=True, help="Whether jobs may push to the queue.")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def jobs(name: str, allowed: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Allow jobs to push to a queue with their own keys, or refuse it, as a new queue does.

    The scheduler of a sweep may always push to the queue that it came from.
    """
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        server.set_jobs_may_push(owner, name, allowed=allowed)
    takes = (
        "takes items from jobs now" if allowed else "takes no items from jobs now, except from schedulers of its own"
    )
    echo(f"Queue {name!r} of {owner!r} {takes}.")


@queue.command()
@click.argument("name", shell_complete=completion.queues)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def delete(name: str, yes: bool, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Delete a queue with all its items."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        if not yes:
            confirm(f"Delete queue {name!r} of {owner!r} with all its items?")
        server.delete_queue(owner, name)
    echo(f"Queue {name!r} of {owner!r} was deleted.")


def _summary(detail: QueueDetail) -> tuple[str, str, str, str, str, str]:
    return (
        detail.name,
        detail.resource_type or "-",
        _number(detail.pending_count),
        _number(detail.claimed_count),
        "yes" if detail.prioritization_mode == "V0" else "no",
        "no" if detail.paused_at is None else f"by {detail.paused_by}, {format_moment(detail.paused_at)}",
    )


def _item_row(item: Item, hosts: Mapping[str, str | None]) -> list[Span]:
    priority = next((name for name, number in PRIORITIES.items() if number == item.priority), "-")
    about = "; ".join(filter(None, (name_of(item.run_spec), one_line(_reason(item)))))
    return [
        Span(item.id),
        Span(item.state.lower(), COLOURS.get(item.state)),
        Span(priority),
        Span(item.associated_run_id or "-"),
        Span(author_of(item.run_spec)),
        Span(hosts.get(item.launch_agent_id or "") or "-"),
        Span(format_minute(item.created_at)),
        Span(about),
    ]


def _reason(item: Item) -> str | None:
    if item.fits_no_agent:
        return f"no living agent could ever fit {item.gpus}"
    return item.message


def _number(count: int | None) -> str:
    return "-" if count is None else str(count)
