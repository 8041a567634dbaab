"""`launchd outbox`: shows what this host's agent still has to tell the queue server, and sends refused rows again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.tables import cut, table, terminal_width
from launchd.cli.terminal import Line, Span, echo, echo_json
from launchd.humanize import format_age, one_line

#: The widest that a summary is shown beside the reason of a refusal; `--json` has all of it.
SUMMARY_WIDTH = 40

EXAMPLES = """\b
Examples:
  launchd outbox
  launchd outbox retry 17
  launchd outbox retry --all
"""


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@click.pass_context
def outbox(context: click.Context) -> None:
    """Show what the agent still has to tell the queue server, and what the server does not take.

    What the server does not take is kept, and not sent again by itself. Without a command: list.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_all)


@outbox.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON, with all of each text.")
@agent_options
@report_errors(*LOCAL_ERRORS)
def list_all(as_json: bool = False, config_path: str | None = None, state_dir: Path | None = None) -> None:
    """List what waits for the server, and what the server does not take, with its reason."""
    response = ask_agent(runtime_dir(config_path, state_dir), command="outbox")
    waiting, dead = response["waiting"], response["dead"]
    if as_json:
        echo_json({"waiting": waiting, "dead": dead})
    else:
        echo(*outbox_lines(waiting, dead, terminal_width()))


@outbox.command()
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Send all rows again that the server does not take.")
@agent_options
@report_errors(*LOCAL_ERRORS)
def retry(ids: tuple[int, ...], is_all: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Send rows again that the server does not take, named by the ID that the list shows."""
    if bool(ids) == is_all:
        raise click.UsageError("Name the rows by their IDs, or give --all.")
    request = {"command": "retry", "ids": None if is_all else list(ids)}
    retried: int = ask_agent(runtime_dir(config_path, state_dir), **request)["retried"]
    if retried < len(set(ids)):
        others = f"{_rows(retried)} sent again. The others" if retried else "These rows"
        raise click.ClickException(f"{others} are not among what the server does not take: see launchd outbox")
    echo(f"{_rows(retried)} sent again. See the outcome with: launchd outbox")


def _rows(number: int) -> str:
    return "1 row is" if number == 1 else f"{number} rows are"


def outbox_lines(waiting: Sequence[Mapping[str, Any]], dead: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Return the whole view for a terminal of ``width`` columns."""
    parts = [_waiting(waiting, width) if waiting else [], _dead(dead, width) if dead else []]
    lines = [line for part in parts if part for line in ("", *part)][1:]
    return lines or ["The queue server has been told everything."]


def _waiting(rows: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    cells = [[*_begin(row), Span(format_age(row["created_seconds"])), Span(one_line(row["summary"]))] for row in rows]
    title = Span("Waiting for the queue server", bold=True)
    return [[title], *table(["ID", "ITEM", "KIND", "AGE", "SAYS"], cells, width, "  ")]


def _dead(rows: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    cells = [
        [
            *_begin(row),
            Span(format_age(row["refused_seconds"])),
            Span(cut(one_line(row["summary"]), SUMMARY_WIDTH)),
            Span(one_line(row["reason"]), "red"),
        ]
        for row in rows
    ]
    title = Span("Not taken by the queue server", bold=True)
    return [[title], *table(["ID", "ITEM", "KIND", "AGO", "SAYS", "REASON"], cells, width, "  ")]


def _begin(row: Mapping[str, Any]) -> list[Span]:
    return [Span(str(row["id"])), Span(row["item_id"]), Span(row["kind"])]
