"""Options that several commands share: which queue server, which `launchd up`, which agent, whose queues."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from launchd.local.instance import ENVIRONMENT_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])

state_dir_option = click.option(
    "--state-dir",
    envvar=ENVIRONMENT_VARIABLE,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help=f"Directory of `launchd up` [default: below your home directory; environment: {ENVIRONMENT_VARIABLE}].",
)

url_option = click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")

config_option = click.option("-c", "--config", "config_path", metavar="FILE", help="Configuration file of the agent.")

json_option = click.option("--json", is_flag=True, help="Print it as JSON.")

entity_option = click.option("-e", "--entity", help="Whose queues are meant [default: WANDB_ENTITY, yours].")

include_option = click.option(
    "--include",
    multiple=True,
    metavar="NAME",
    help="File or directory to upload though it is left out otherwise: a name, path or pattern; may be repeated.",
)


def build_options(command: F) -> F:
    """Give a command what a job says of its image: ``build_context``, ``dockerfile`` and ``base_image``."""
    for option in (
        click.option("-B", "--base-image", help="Image that has all that the code needs."),
        click.option("-D", "--dockerfile", help="Dockerfile of the job's image, within the build context."),
        click.option("-b", "--build-context", help="Directory within the code that the image is built in."),
    ):
        command = option(command)
    return command


def server_options(command: F) -> F:
    """Give a command the options that choose the queue server: ``url`` and ``state_dir``."""
    return url_option(state_dir_option(command))


def agent_options(command: F) -> F:
    """Give a command the options that choose the agent of this host: ``config_path`` and ``state_dir``."""
    return config_option(state_dir_option(command))
