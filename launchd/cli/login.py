"""`launchd login` and `launchd whoami`: store a key where every client finds it, and show its owner."""

import os
import sys
from contextlib import closing
from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.login_files import write_base_url, write_key
from launchd.cli.options import server_options
from launchd.cli.server_client import REMOTE_ERRORS, naming_refused_key
from launchd.cli.terminal import echo
from launchd.client.address import checked_address
from launchd.client.credentials import find_base_url
from launchd.client.errors import QueueServerError, Refused
from launchd.client.models.accounts import Viewer
from launchd.client.queue_server import QueueServer
from launchd.humanize import join_names
from launchd.local.endpoint import resolve_endpoint
from launchd.local.instance import InstanceNotRunning, running_instance

EXAMPLES = """\b
Examples:
  launchd login --host http://queue.example.org:8780
  launchd login --host http://127.0.0.1:8780 < admin.key
"""

#: Variables that win over the files that are written; a warning names those that are set.
_OVERRIDING_VARIABLES = ("WANDB_API_KEY", "WANDB_BASE_URL")


@click.command(epilog=EXAMPLES)
@click.argument("key", required=False)
@click.option(
    "--host", metavar="URL", help="Address of the server [default: WANDB_BASE_URL, `launchd up`, W&B's settings]."
)
@report_errors(QueueServerError, InstanceNotRunning, OSError)
def login(key: str | None, host: str | None) -> None:
    """Store an API key for a server, after a check at the server.

    The key is prompted for, or read from standard input where that is no terminal. As the argument KEY, it can be read
    in the list of processes by all users of this host. It is written to netrc and the address to W&B's settings, where
    this program and W&B's clients of every version look for them.
    """
    address = checked_address(host or _usual_address())
    key = key or _read_key(address)
    with closing(QueueServer(address, key)) as server:
        viewer = server.viewer()
    # First the file that may hold what this program cannot keep.
    settings = write_base_url(address, os.environ)
    netrc = write_key(address, key, os.environ)
    echo(f"Logged in at {address} as {viewer.username}. Key and address are in {netrc} and {settings}.")
    for name in _OVERRIDING_VARIABLES:
        if os.environ.get(name):
            echo(f"{name} is set and goes before them.", err=True)


@click.command()
@server_options
@report_errors(*REMOTE_ERRORS)
def whoami(url: str | None, state_dir: Path | None) -> None:
    """Show the owner of the API key, the server, and where both were found."""
    address, key = resolve_endpoint(url, state_dir, os.environ)
    server = QueueServer(address.url, key.key, author=os.environ.get("WANDB_USERNAME"))
    with closing(server), naming_refused_key(key):
        viewer = server.viewer()
    echo(*_identity_lines(viewer), f"server  {address.url} (from {address.origin})", f"key     from {key.origin}")
    given = os.environ.get("WANDB_API_KEY", "").strip()
    if given and given != key.key:
        echo("WANDB_API_KEY is set and is not used: without WANDB_BASE_URL it is for W&B's own server.", err=True)


def _usual_address() -> str:
    info = None if os.environ.get("WANDB_BASE_URL") else running_instance(None)
    return info.url if info is not None else find_base_url(os.environ).url


def _identity_lines(viewer: Viewer) -> list[str]:
    # The server lists the user's own entity among the teams.
    teams = join_names(team for team in viewer.teams if team != viewer.username)
    return [f"user    {viewer.username}", f"entity  {viewer.entity or '-'}", f"teams   {teams}"]


def _read_key(address: str) -> str:
    if sys.stdin.isatty():
        key = click.prompt(f"API key for {address}", hide_input=True, err=True)
    else:
        key = sys.stdin.readline()
    if len(key.split()) != 1:
        raise Refused("An API key is one word; none came on standard input.")
    return str(key.strip())
