"""`launchd why`: why an item waits, was refused or failed, as this host's agent and the queue server recorded it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from launchd.agent.control.client import ControlError
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.terminal import echo
from launchd.client.queue_server import ItemReasons

EXAMPLE = """\b
Example:
  launchd why d63e3be6
"""


@click.command(epilog=EXAMPLE)
@click.argument("item", metavar="ITEM|RUN", shell_complete=completion.items)
@click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def why(item: str, url: str | None, config_path: str | None, state_dir: Path | None) -> None:
    """Say why a job waits, was refused or failed: named by its item, or by its run id on the host that has it.

    A job of this host is explained by its agent, everything else by the queue server: which agents could take the
    item, how many GPUs it asks for and how many are free there, and for which larger one GPUs are held back.
    """
    try:
        job = ask_agent(runtime_dir(config_path, state_dir), command="job", item=item)["job"]
    except ControlError as error:
        _explain_at_server(item, url, state_dir, error)
    else:
        echo(_of_job(job))


def _of_job(job: Mapping[str, Any]) -> str:
    """What the agent knows of a job, in one line."""
    phase = "" if job["phase"] == job["status"] else f" ({job['phase']})"
    attempt = f", attempt {job['attempt']}" if job["attempt"] > 1 else ""
    code = "" if job["exit_code"] is None else f", exit code {job['exit_code']}"
    stop = f" A stop was requested: {job['stop_reason']}" if job["stop_reason"] else ""
    message = f": {job['message']}" if job["message"] else "."
    return f"Job {job['item_id']} on this host: {job['status']}{phase}{attempt}{code}{message}{stop}"


def _explain_at_server(item: str, url: str | None, state_dir: Path | None, local: ControlError) -> None:
    with queue_server(url, state_dir) as server:
        meant = server.find_item(item)
        found = None if meant is None else server.why(meant.id)
        if found is None:
            raise click.ClickException(f"{local} The queue server at {server.base_url} knows no item {item} either.")
    echo(*_of_item(found))


def _of_item(found: ItemReasons) -> list[str]:
    return [
        f"Item {found.id} of queue {found.queue_name!r}: {found.state.lower()}.",
        *(one.sentence for one in found.why),
    ]
