"""`launchd team` and `launchd service-account`: teams, their members, and service accounts of a team."""

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from launchd.cli.errors import report_errors
from launchd.cli.keys import key_role_option
from launchd.cli.options import json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, confirm, echo, echo_json
from launchd.client.models.accounts import Member
from launchd.humanize import counted, one_line

SERVICE = "SERVICE"

role_option = click.option(
    "-r", "--role", type=click.Choice(["viewer", "member", "admin"]), default="member", show_default=True
)


@click.group()
def team() -> None:
    """Create and delete teams, and manage their members."""


@team.command()
@click.argument("name")
@click.option("--admin", metavar="USER", help="Administrator of the team [default: you].")
@server_options
@report_errors(*REMOTE_ERRORS)
def create(name: str, admin: str | None, url: str | None, state_dir: Path | None) -> None:
    """Create a team."""
    with queue_server(url, state_dir) as server:
        server.create_team(name, admin)
    echo(f"Team {name!r} was created.")


@team.command("list")
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_teams(json: bool, url: str | None, state_dir: Path | None) -> None:
    """List the entities you belong to, your own included."""
    with queue_server(url, state_dir) as server:
        names = server.viewer().teams
    if json:
        echo_json(list(names))
    elif names:
        echo(*names)


@team.command()
@click.argument("name")
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def show(name: str, json: bool, url: str | None, state_dir: Path | None) -> None:
    """List the members of a team."""
    with queue_server(url, state_dir) as server:
        _print(server.members(name), as_json=json)


@team.command(epilog="\b\nExample:\n  launchd team add vision ada --role admin")
@click.argument("name")
@click.argument("user")
@role_option
@server_options
@report_errors(*REMOTE_ERRORS)
def add(name: str, user: str, role: str, url: str | None, state_dir: Path | None) -> None:
    """Make a user a member of a team, or change their role.

    A viewer can read, a member also push, run agents and change the team's data, an admin also manage members.
    """
    with queue_server(url, state_dir) as server:
        server.set_member(name, user, role.upper())
    echo(f"{user!r} is {_article(role)} of team {name!r}.")


@team.command()
@click.argument("name")
@click.argument("user")
@server_options
@report_errors(*REMOTE_ERRORS)
def remove(name: str, user: str, url: str | None, state_dir: Path | None) -> None:
    """End a membership; a service account loses its keys too."""
    with queue_server(url, state_dir) as server:
        server.remove_member(name, user)
    echo(f"{user!r} is no member of team {name!r} any more.")


@team.command(epilog="\b\nExample:\n  launchd team delete vision")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@server_options
@report_errors(*REMOTE_ERRORS)
def delete(name: str, yes: bool, url: str | None, state_dir: Path | None) -> None:
    """Delete a team with its queues, service accounts, runs and artifacts. Its members stay users.

    Refused while an item or a run of the team lives, while an agent serves its queues, and while versions of its
    artifacts are linked to portfolios of others. Its name is given to no other account.
    """
    if not yes:
        confirm(f"Delete team {name!r} with its queues, service accounts, runs and artifacts?")
    with queue_server(url, state_dir) as server:
        gone = server.delete_team(name)
    went = f"{counted(gone.queues, 'queue')} and {counted(gone.service_accounts, 'service account')}"
    echo(f"Team {name!r} was deleted, with {went}.")


@click.group("service-account")
def service_account() -> None:
    """Create, list and delete service accounts: members of a team that are programs."""


@service_account.command("create", epilog="\b\nExample:\n  launchd service-account create vision robot > robot.key")
@click.argument("team_name", metavar="TEAM")
@click.argument("name")
@key_role_option
@server_options
@report_errors(*REMOTE_ERRORS)
def create_service_account(team_name: str, name: str, role: str, url: str | None, state_dir: Path | None) -> None:
    """Create a service account of a team and print its first API key; the key cannot be shown again.

    An agent of the team should have such a key, of role agent. WANDB_USERNAME names the member for whom a client acts
    with it.
    """
    with queue_server(url, state_dir) as server:
        server.create_service_account(team_name, name)
        key = server.create_key("first key", role.upper(), name)
    echo(f"Service account {name!r} of team {team_name!r} was created. Its key:", err=True)
    echo(key)


@service_account.command("delete", epilog="\b\nExample:\n  launchd service-account delete vision robot")
@click.argument("team_name", metavar="TEAM")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@server_options
@report_errors(*REMOTE_ERRORS)
def delete_service_account(team_name: str, name: str, yes: bool, url: str | None, state_dir: Path | None) -> None:
    """Delete a service account of a team with its API keys: agents and programs that have one are locked out.

    Refused while an item or a run in its name lives, and while an agent has a key of its. No other account gets its
    name.
    """
    if not yes:
        confirm(f"Delete service account {name!r} of team {team_name!r} with its API keys?")
    with queue_server(url, state_dir) as server:
        gone = server.delete_service_account(team_name, name)
    echo(f"Service account {name!r} of team {team_name!r} was deleted, with {counted(gone.keys, 'API key')}.")


@service_account.command("list")
@click.argument("team_name", metavar="TEAM")
@json_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_service_accounts(team_name: str, json: bool, url: str | None, state_dir: Path | None) -> None:
    """List the service accounts of a team."""
    with queue_server(url, state_dir) as server:
        accounts = [member for member in server.members(team_name) if member.account_type == SERVICE]
    if accounts or json:
        _print(accounts, as_json=json)
    else:
        echo(f"Team {team_name!r} has no service accounts.")


def _print(members: Sequence[Member], *, as_json: bool) -> None:
    if as_json:
        echo_json(msgspec.to_builtins(members))
        return
    rows = [[Span(text) for text in _texts(member)] for member in members]
    echo(*table(("NAME", "ROLE", "KIND", "EMAIL"), rows, terminal_width()))


def _texts(member: Member) -> tuple[str, ...]:
    kind = "service" if member.account_type == SERVICE else "user"
    return member.username, member.role.lower(), kind, one_line(member.email) or "-"


def _article(role: str) -> str:
    return f"an {role}" if role == "admin" else f"a {role}"
