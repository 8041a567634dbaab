"""`launchd metrics`: prints the metrics of this host's agent, as Prometheus would read them."""

from pathlib import Path

import click
import msgspec

from ipc.extras import how_to_install
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.terminal import echo
from launchd.metrics.model import Family


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def metrics(config_path: str | None, state_dir: Path | None) -> None:
    """Print the metrics of this host's agent once, in Prometheus' text format.

    For a look, or for the textfile collector of Prometheus' node exporter. To have them served, set
    `launchd.metrics.listen` in the configuration.
    """
    try:
        from launchd.metrics.exposition import rendered  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"Metrics need the Python package {error.name}, which is not installed here."
            f" Install it with: {how_to_install('metrics')}."
        ) from error
    answer = ask_agent(runtime_dir(config_path, state_dir), command="metrics")
    text, _ = rendered(msgspec.convert(answer["metrics"], list[Family]))
    echo(*text.decode().removesuffix("\n").split("\n"))
