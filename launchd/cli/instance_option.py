"""The option that says which `launchd up` is meant."""

from pathlib import Path

import click

from launchd.local.instance import ENVIRONMENT_VARIABLE

state_dir_option = click.option(
    "--state-dir",
    envvar=ENVIRONMENT_VARIABLE,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"Directory of `launchd up` [default: below your home directory; environment: {ENVIRONMENT_VARIABLE}].",
)
