"""The database URL of `launchd server` and of what works on its data: from an option, a variable or a file.

Refuses passwords in an option.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import click
from click.core import ParameterSource

from launchd.local.instance import ENVIRONMENT_VARIABLE, LocalInstance, default_directory

VARIABLE = "LAUNCHD_DATABASE_URL"

F = TypeVar("F", bound=Callable[..., Any])


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


def data_options(command: F) -> F:
    """Give a command the options that say where a queue server's data are.

    They are ``data_dir``, ``database`` and ``database_file``.
    """
    return _data_options(command, of_up=False)


def data_options_of_up(command: F) -> F:
    """Give a command the same; without ``data_dir``, the server of `launchd up` is meant, where there is one."""
    return _data_options(command, of_up=True)


def _or_that_of_up(ctx: click.Context, parameter: click.Parameter, directory: Path | None) -> Path:
    of_up = LocalInstance(Path(os.environ.get(ENVIRONMENT_VARIABLE) or default_directory(os.environ))).server_dir
    found = directory or (of_up if of_up.is_dir() else None)
    if found is None:
        raise click.MissingParameter(ctx=ctx, param=parameter)
    return found


def _data_options(command: F, *, of_up: bool) -> F:
    without = " [default: that of `launchd up`]." if of_up else "."
    for option in (
        click.option(
            "--database-file",
            type=click.Path(path_type=Path),
            help="File with the URL, which may hold a password.",
        ),
        click.option(
            "--database",
            envvar=VARIABLE,
            show_envvar=True,
            callback=refuse_password,
            metavar="URL",
            help="postgresql://[USER@]HOST/NAME, for many hosts [default: SQLite in DATA_DIR].",
        ),
        click.option(
            "--data-dir",
            required=not of_up,
            callback=_or_that_of_up if of_up else None,
            type=click.Path(path_type=Path, file_okay=False),
            help=f"Directory of all data of the server{without}",
        ),
    ):
        command = option(command)
    return command


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
