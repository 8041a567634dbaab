"""`launchd outbox`: what the agent has to tell the queue server; refused rows are sent again, or dropped."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

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
  launchd outbox drop 17
"""

F = TypeVar("F", bound=Callable[..., Any])


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


def _rows_arguments(what: str) -> Callable[[F], F]:
    """Return the arguments that name rows, or all of them, ``what`` is done to them."""
    ids = click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
    every = click.option("--all", "is_all", is_flag=True, help=f"{what} all rows that the server does not take.")
    return lambda command: ids(every(agent_options(command)))


@outbox.command()
@_rows_arguments("Send again")
@report_errors(*LOCAL_ERRORS)
def retry(ids: tuple[int, ...], is_all: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Send rows again that the server does not take, named by the ID that the list shows."""
    retried: int = _ask("retry", ids, is_all, config_path, state_dir)["retried"]
    _check_number(retried, ids, "sent again")
    echo(f"{_rows(retried)} sent again. See the outcome with: launchd outbox")


@outbox.command()
@_rows_arguments("Drop")
@report_errors(*LOCAL_ERRORS)
def drop(ids: tuple[int, ...], is_all: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Drop rows that the server does not take and never will: of an item that was deleted there, or of another server.

    The agent's log keeps what they say. An outcome for which the server still waits comes again.
    """
    dropped: int = _ask("drop", ids, is_all, config_path, state_dir)["dropped"]
    _check_number(dropped, ids, "dropped")
    echo(f"{_rows(dropped)} dropped.")


def _ask(
    command: str, ids: tuple[int, ...], is_all: bool, config_path: str | None, state_dir: Path | None
) -> dict[str, Any]:
    if bool(ids) == is_all:
        raise click.UsageError("Name the rows by their IDs, or give --all.")
    return ask_agent(runtime_dir(config_path, state_dir), command=command, ids=None if is_all else list(ids))


def _check_number(number: int, ids: tuple[int, ...], done: str) -> None:
    if number < len(set(ids)):
        others = f"{_rows(number)} {done}. The others" if number else "These rows"
        raise click.ClickException(f"{others} are not among what the server does not take: see launchd outbox")


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
