"""`launchd user`: creates, lists and deletes users of the queue server, and resets their keys."""

from pathlib import Path

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.options import json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, confirm, echo, echo_json
from launchd.client.models.accounts import UserDetail
from launchd.humanize import counted, one_line


@click.group()
def user() -> None:
    """Create, list and delete users of the queue server, and reset their keys."""


@user.command(epilog="\b\nExample:\n  launchd user create ada --email ada@example.org > ada.key")
@click.argument("name")
@click.option("--email", default="", help="Email address of the user.")
@click.option("--admin", is_flag=True, help="Make the user an administrator of the server.")
@server_options
@report_errors(*REMOTE_ERRORS)
def create(name: str, email: str, admin: bool, url: str | None, state_dir: Path | None) -> None:
    """Create a user, with an entity of the same name, and print their first API key; it cannot be shown again."""
    with queue_server(url, state_dir) as server:
        key = server.create_user(name, email, admin=admin)
    echo(f"User {name!r} was created. Hand over this key, for `launchd login`:", err=True)
    echo(key)


@user.command("reset")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@server_options
@report_errors(*REMOTE_ERRORS)
def reset_keys(name: str, yes: bool, url: str | None, state_dir: Path | None) -> None:
    """Revoke all API keys of a user who has lost them, and make one that only the user gets.

    It is printed where the user has never used a key. Otherwise it is in a file on the server's host: who operates the
    host hands it over and removes the file. The user sees the reset by `launchd key log`.
    """
    if not yes:
        confirm(f"Revoke all API keys of {name!r}? Agents and programs that have one are locked out.")
    with queue_server(url, state_dir) as server:
        made = server.reset_keys(name)
    echo(f"API keys of {name!r} were revoked: {made.revoked}.", err=True)
    if made.key is not None:
        echo("Hand over this key, for `launchd login`:", err=True)
        echo(made.key)
    else:
        echo(f"The new key is on the server's host, in {made.file}: hand it over, then remove the file.")


@user.command(epilog="\b\nExample:\n  launchd user delete ada")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@server_options
@report_errors(*REMOTE_ERRORS)
def delete(name: str, yes: bool, url: str | None, state_dir: Path | None) -> None:
    """Delete a user with all API keys, and the queues, runs and artifacts of their own entity.

    Refused while an item or a run of theirs lives, while an agent serves their queues or has a key of theirs, and where
    a team would be left without an admin. What they did in teams stays, in their name, which no other account gets.
    """
    if not yes:
        confirm(f"Delete user {name!r}, with all API keys, queues, runs and artifacts of their own?")
    with queue_server(url, state_dir) as server:
        gone = server.delete_user(name)
    echo(f"User {name!r} was deleted, with {counted(gone.keys, 'API key')} and {counted(gone.queues, 'queue')}.")


@user.command("list")
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_users(json: bool, url: str | None, state_dir: Path | None) -> None:
    """List the users: all of them for an administrator, else those of your teams."""
    with queue_server(url, state_dir) as server:
        found = server.users()
    if json:
        echo_json(msgspec.to_builtins(found))
        return
    rows = [[Span(text) for text in _texts(detail)] for detail in found]
    echo(*table(("NAME", "KIND", "ENTITY", "EMAIL"), rows, terminal_width()))


def _texts(user: UserDetail) -> tuple[str, ...]:
    kind = "service" if user.is_service_account else "administrator" if user.admin else "user"
    return user.username, kind, user.entity or "-", one_line(user.email) or "-"
