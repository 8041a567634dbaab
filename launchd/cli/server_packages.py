"""What commands need that run code of the queue server in this process: its packages, which are an extra."""

import importlib

import click

from ipc.extras import how_to_install


def require_packages() -> None:
    """Raise ``click.ClickException`` where a package of the queue server is missing."""
    try:
        importlib.import_module("launchd.server.serve")
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The queue server needs the Python package {error.name}, which is not installed here."
            f" Install all it needs with: {how_to_install('server')}."
        ) from error
