"""Where `launchd server` keeps its store: an option, a variable, a file. Owns the rule that no option is a password."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
from click.core import ParameterSource

VARIABLE = "LAUNCHD_DATABASE_URL"


def refuse_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Callback of the option: everybody on the machine can read a command line.

    Raises:
        click.BadParameter: the password stands in it.
    """
    on_command_line = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if url and on_command_line and _has_password(url):
        raise click.BadParameter(
            f"everybody on this machine can read a password there. Give it in ~/.pgpass, in PGPASSWORD, in {VARIABLE},"
            " or with --database-file."
        )
    return url


def read_url(path: Path) -> str:
    """The address that stands in a file.

    Raises:
        click.ClickException: it cannot be read, or there is nothing in it.
    """
    try:
        url = path.read_text().strip()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from error
    if not url:
        raise click.ClickException(f"{path} is empty: it should hold the address of the database, postgresql://...")
    return url


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False
