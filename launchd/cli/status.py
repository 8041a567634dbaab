"""`launchd status`: shows the status of this host's agent, once or continuously."""

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
from launchd.cli.terminal import Line, echo, echo_json, redraw

WATCH_SECONDS = 1.0


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
    if as_json:
        echo_json(values)
    else:
        echo(*_lines(values))


def _lines(values: dict[str, Any]) -> list[Line]:
    return status_lines(values, time.time(), terminal_width())


def _watch(directory: Path) -> None:
    click.clear()
    try:
        while True:
            redraw(_lines_or_error(directory)[: shutil.get_terminal_size().lines - 1])
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        echo()


def _lines_or_error(directory: Path) -> list[Line]:
    try:
        return _lines(ask_agent(directory, command="status")["status"])
    except ControlError as error:
        return [str(error)]
