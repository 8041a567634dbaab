"""The database URL of `launchd server`, from an option, a variable or a file; refuses passwords in an option."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
from click.core import ParameterSource

VARIABLE = "LAUNCHD_DATABASE_URL"


def refuse_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Return the URL; the callback of the option. All users of the machine can read a command line.

    Raises:
        click.BadParameter: it has a password, and was given on the command line.
    """
    on_command_line = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if url and on_command_line and _has_password(url):
        raise click.BadParameter(
            f"all users of this machine can read a password there. Give it in ~/.pgpass, in PGPASSWORD, in {VARIABLE},"
            " or with --database-file."
        )
    return url


def read_url(path: Path, example: str = "postgresql://...") -> str:
    """Return the URL in a file.

    Raises:
        click.ClickException: the file cannot be read, or is empty.
    """
    try:
        url = path.read_text().strip()
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from error
    if not url:
        raise click.ClickException(f"{path} is empty: it should hold an address, {example}")
    return url


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False
