"""What commands need that run code of the queue server in this process: its packages, which are an extra."""

import importlib

import click


def require_packages() -> None:
    """Raise ``click.ClickException`` where a package of the queue server is missing."""
    try:
        importlib.import_module("launchd.server.serve")
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The queue server needs the Python package {error.name}, which is not installed here."
            " Install all it needs with: pip install --require-hashes -r requirements/server.lock in the repository"
        ) from error
