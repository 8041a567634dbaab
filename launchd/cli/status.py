"""`launchd status`: shows the status of this host's agent, once or continuously."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from launchd.agent.control.client import ControlError
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.status_view import status_lines
from launchd.cli.tables import terminal_width
from launchd.cli.terminal import Line, can_redraw, echo, echo_json, redraw
from launchd.humanize import format_moment

WATCH_SECONDS = 1.0

#: How often it is printed anew where it cannot be redrawn: in a file, or on a terminal without escape sequences.
PRINT_SECONDS = 5.0


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
    try:
        if can_redraw():
            _redraw_forever(directory)
        _print_forever(directory)
    except KeyboardInterrupt:
        echo()


def _redraw_forever(directory: Path) -> NoReturn:
    click.clear()
    while True:
        redraw(_lines_or_error(directory)[: shutil.get_terminal_size().lines - 1])
        time.sleep(WATCH_SECONDS)


def _print_forever(directory: Path) -> NoReturn:
    """Print it again and again, one below the other, each under its time."""
    while True:
        echo(format_moment(datetime.now(UTC)), *_lines_or_error(directory), "")
        time.sleep(PRINT_SECONDS)


def _lines_or_error(directory: Path) -> list[Line]:
    try:
        return _lines(ask_agent(directory, command="status")["status"])
    except ControlError as error:
        return [str(error)]
