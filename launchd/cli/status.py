"""`launchd status`: asks this host's agent and shows what it says, once or again and again."""

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

#: Cursor to the top left; what is left of a line; what is left below.
TOP, END_OF_LINE, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything that is known, for programs.")
@click.option("-w", "--watch", is_flag=True, help="Keep it on the screen until Ctrl-C.")
@agent_options
@report_errors(*LOCAL_ERRORS)
def status(as_json: bool, watch: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Show this host's agent, whether its queue server answers, its jobs, and those that ended last."""
    if as_json and watch:
        raise click.UsageError("--json and --watch do not go together.")
    directory = runtime_dir(config_path, state_dir)
    if watch:
        _watch(directory)
        return
    answer = ask_agent(directory, command="status")["status"]
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(_lines(answer)))


def _lines(answer: dict[str, Any]) -> list[str]:
    return status_lines(answer, time.time(), terminal_width())


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
