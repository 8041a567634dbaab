"""`launchd stop`: requests a stop from this host's agent if it has the job, else from the queue server."""

from pathlib import Path

import click

from launchd.agent.control.client import ControlError
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.item_view import author_of
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options, entity_option
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, resolve_entity
from launchd.cli.terminal import echo

DEFAULT_REASON = "stopped from the command line"

#: How many of the newest items of each queue are looked at for those of one user.
MOST_ITEMS = 1000

EXAMPLES = """\b
Examples:
  launchd stop d63e3be6
  launchd stop d63e3be6 --reason "the data set is wrong"
  launchd stop --mine -q gpu
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN|NAME", required=False, shell_complete=completion.items)
@click.option("--mine", is_flag=True, help="Stop all items that you have pushed and that are not over.")
@click.option("-q", "--queue", help="With --mine: those in this queue alone.", shell_complete=completion.queues)
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Reason that is reported to the submitter.")
@click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")
@entity_option
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def stop(
    item: str | None,
    mine: bool,
    queue: str | None,
    reason: str,
    url: str | None,
    entity: str | None,
    config_path: str | None,
    state_dir: Path | None,
) -> None:
    """Stop a job, or an item that still waits in its queue, named as for `launchd show`.

    All processes of a job get SIGTERM, and after the grace SIGKILL. A job of another host is stopped through the queue
    server.
    """
    if mine is (item is not None):
        raise click.UsageError("Name an item, or stop all of yours with --mine.")
    if item is None:
        _stop_mine(reason, queue, entity, url, state_dir)
        return
    try:
        response = ask_agent(runtime_dir(config_path, state_dir), command="stop", item=item, reason=reason)
    except ControlError as error:
        _stop_at_server(item, reason, url, state_dir, error)
    else:
        echo(f"Job {response['item']} is being stopped.")
        if response.get("warning"):
            echo(f"Warning: {response['warning']}", err=True)


def _stop_at_server(item: str, reason: str, url: str | None, state_dir: Path | None, local: ControlError) -> None:
    with queue_server(url, state_dir) as server:
        found = server.find_item(item)
        if found is None:
            raise click.ClickException(f"{local} The queue server at {server.base_url} knows no item {item} either.")
        item = found.id
        if found.finished_at is not None:
            raise click.ClickException(f"Item {item} is over already: {found.status or found.state.lower()}.")
        echo(f"Item {item}: {server.stop_item(item, reason)}")


def _stop_mine(reason: str, queue: str | None, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    with queue_server(url, state_dir) as server:
        owner, user = resolve_entity(server, entity), server.viewer().username
        names = [queue] if queue else [detail.name for detail in server.queue_details(owner)]
        found = [item for name in names for item in server.queue_items(owner, name, MOST_ITEMS)]
        mine = [item for item in found if item.finished_at is None and author_of(item.run_spec) == user]
        for item in mine:
            echo(f"Item {item.id}: {server.stop_item(item.id, reason)}")
    if not mine:
        echo(f"You have no item that is not over among the newest {MOST_ITEMS} of each queue.", err=True)
