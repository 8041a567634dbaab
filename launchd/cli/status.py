"""`launchd status`: shows the status of this host's agent, once or continuously."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import click

from launchd.agent.control.client import ControlError
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.status_view import status_lines
from launchd.cli.tables import terminal_width

WATCH_SECONDS = 1.0

#: Escape sequences: cursor to the top left; clear the rest of the line; clear the screen below.
TOP, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the whole status as JSON.")
@click.option("-w", "--watch", is_flag=True, help="Show it continuously until Ctrl-C.")
@agent_options
@report_errors(*LOCAL_ERRORS)
def status(as_json: bool, watch: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Show this host's agent, whether its queue server answers, its jobs, and the jobs that ended last."""
    if as_json and watch:
        raise click.UsageError("--json and --watch do not go together.")
    directory = runtime_dir(config_path, state_dir)
    if watch:
        _watch(directory)
        return
    values = ask_agent(directory, command="status")["status"]
    click.echo(json.dumps(values, indent=2) if as_json else "\n".join(_lines(values)))


def _lines(values: dict[str, Any]) -> list[str]:
    return status_lines(values, time.time(), terminal_width())


def _watch(directory: Path) -> None:
    click.clear()
    try:
        while True:
            lines = _lines_or_error(directory)[: shutil.get_terminal_size().lines - 1]
            end = f"{END_OF_LINE}\n"
            click.echo(f"{TOP}{end.join(lines)}{END_OF_LINE}\n{END_OF_SCREEN}", nl=False)
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _lines_or_error(directory: Path) -> list[str]:
    try:
        return _lines(ask_agent(directory, command="status")["status"])
    except ControlError as error:
        return [str(error)]
