"""`launchd key`: create, list and revoke API keys of the queue server, and show what others did to them."""

from pathlib import Path

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.options import json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, echo, echo_json
from launchd.client.errors import QueueServerError, Unauthorized
from launchd.client.models.accounts import AccountEvent, KeyDetail
from launchd.client.queue_server import QueueServer
from launchd.humanize import format_minute, one_line, zoned

key_role_option = click.option(
    "-r", "--role", type=click.Choice(["viewer", "member", "admin", "agent"]), default="member", show_default=True
)
user_option = click.option("--user", metavar="NAME", help="Owner of the keys [default: you].")


@click.group()
def key() -> None:
    """Create, list and revoke API keys."""


@key.command(epilog="\b\nExample:\n  launchd key create --description ci > ci.key")
@click.option("-d", "--description", default="", help="Purpose of the key.")
@key_role_option
@user_option
@server_options
@report_errors(*REMOTE_ERRORS)
def create(description: str, role: str, user: str | None, url: str | None, state_dir: Path | None) -> None:
    """Create an API key and print it; it cannot be shown again.

    A key of role viewer can read, one of role member also change things, one of role admin also manage users, teams and
    keys as far as its owner may. One of role agent serves queues, and can change nothing else.
    """
    with queue_server(url, state_dir) as server:
        secret = server.create_key(description, role.upper(), user)
    echo("Keep this key well; it cannot be shown again.", err=True)
    echo(secret)


@key.command("list")
@json_option
@user_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_keys(json: bool, user: str | None, url: str | None, state_dir: Path | None) -> None:
    """List API keys, without their secrets."""
    with queue_server(url, state_dir) as server:
        owner = user or server.viewer().username or ""
        keys = server.keys(owner)
    if json:
        echo_json(msgspec.to_builtins(keys))
        return
    if not keys:
        echo(f"There are no API keys of {owner!r} that you may see.")
        return
    headers = ("ID", "ROLE", zoned("CREATED"), zoned("LAST USED"), "DESCRIPTION")
    echo(*table(headers, [_row(detail) for detail in keys], terminal_width()))


@key.command("log")
@json_option
@user_option
@server_options
@report_errors(*REMOTE_ERRORS)
def show_log(json: bool, user: str | None, url: str | None, state_dir: Path | None) -> None:
    """Show what others did to your API keys: administrators of the server, and admins of a service account's team."""
    with queue_server(url, state_dir) as server:
        owner = user or server.viewer().username or ""
        events = server.account_events(owner)
    if json:
        echo_json(msgspec.to_builtins(events))
        return
    if not events:
        echo(f"There is nothing that others did to the API keys of {owner!r}, as far as you may see.")
        return
    rows = [[Span(text) for text in _event_texts(event)] for event in events]
    echo(*table((zoned("WHEN"), "WHO", "WHAT"), rows, terminal_width()))


def _event_texts(event: AccountEvent) -> tuple[str, ...]:
    return format_minute(event.created_at), event.actor, one_line(event.sentence)


@key.command()
@click.argument("key_id")
@server_options
@report_errors(*REMOTE_ERRORS)
def revoke(key_id: str, url: str | None, state_dir: Path | None) -> None:
    """Revoke the API key with the id KEY_ID: it stops working at once."""
    with queue_server(url, state_dir) as server:
        server.revoke_key(key_id)
        echo(f"API key {key_id} was revoked.")
        if _is_unknown_now(server):
            echo(
                "It was the key that this command used: `launchd login` takes another one. A queue server, or"
                " `launchd up`, makes its admin.key anew at its next start.",
                err=True,
            )


def _is_unknown_now(server: QueueServer) -> bool:
    try:
        server.viewer()
    except Unauthorized:
        return True
    except QueueServerError:
        pass
    return False


def _row(detail: KeyDetail) -> list[Span]:
    texts = (
        detail.id,
        detail.role.lower(),
        format_minute(detail.created_at),
        format_minute(detail.last_used_at),
        one_line(detail.description),
    )
    return [Span(text) for text in texts]
