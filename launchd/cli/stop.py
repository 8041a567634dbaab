"""`launchd stop`: requests a stop from this host's agent if it has the job, else from the queue server."""

from pathlib import Path

import click

from launchd.agent.control.client import ControlError
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.terminal import echo

DEFAULT_REASON = "stopped from the command line"

EXAMPLES = """\b
Examples:
  launchd stop d63e3be6
  launchd stop d63e3be6 --reason "the data set is wrong"
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN", shell_complete=completion.items)
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Reason that is reported to the submitter.")
@click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def stop(item: str, reason: str, url: str | None, config_path: str | None, state_dir: Path | None) -> None:
    """Stop a job, named by its item or its run id, or an item that still waits in its queue (by its item id).

    All processes of a job get SIGTERM, and after the grace SIGKILL. A job of another host is stopped through the queue
    server.
    """
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
