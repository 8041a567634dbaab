"""`launchd history`: what ran on this host, from the journal of its agent, which need not run."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click
import msgspec

from ipc.states import TERMINAL_STATES
from ipc.time_limits import parse_duration
from launchd.agent.job_history import HistoryEntry
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_reader import read_history
from launchd.cli.errors import report_errors
from launchd.cli.history_view import GROUPS, csv_lines, entry_lines, sum_lines, sums_of
from launchd.cli.local_agent import LOCAL_ERRORS, AgentLocation, agent_locations
from launchd.cli.options import agent_options
from launchd.cli.tables import terminal_width
from launchd.cli.terminal import echo, echo_json
from launchd.humanize import format_jobs

#: How many jobs are listed where nothing else is asked for.
DEFAULT_LIMIT = 50

EXAMPLES = """\b
Examples:
  launchd history --since 7d --by user --by day
  launchd history --queue gpu --outcome failed
  launchd history --since 2026-01-01 --csv > jobs.csv
"""


class NoHistory(Exception):
    """No agent ever ran here."""


@click.command(epilog=EXAMPLES)
@click.option("--since", metavar="TIME", help="Jobs that ended since a date (2026-01-31, 2026-01-31T18:00) or for 7d.")
@click.option("-q", "--queue", "queues", multiple=True, help="Jobs of this queue; may be repeated.")
@click.option("--user", "users", multiple=True, help="Jobs of this submitter; may be repeated.")
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    type=click.Choice(sorted(map(str, TERMINAL_STATES))),
    help="Jobs with this outcome; may be repeated.",
)
@click.option(
    "--by", multiple=True, type=click.Choice(list(GROUPS)), help="Sums by this instead of jobs; may be repeated."
)
@click.option("-n", "--limit", type=click.IntRange(1), help=f"The latest so many jobs [default: {DEFAULT_LIMIT}].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all jobs, unless --limit is given.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values: all jobs, unless --limit is given.")
@agent_options
@report_errors(*LOCAL_ERRORS, JournalError, NoHistory)
def history(
    since: str | None,
    queues: tuple[str, ...],
    users: tuple[str, ...],
    outcomes: tuple[str, ...],
    by: tuple[str, ...],
    limit: int | None,
    as_json: bool,
    as_csv: bool,
    config_path: str | None,
    state_dir: Path | None,
) -> None:
    """Show the jobs that ended on this host, the latest first, and what they used: time, CPU, memory and GPUs.

    How many are kept, and for how long, is set by launchd.history. In comma-separated values a text that a spreadsheet
    would take for a formula has an apostrophe before it.
    """
    if as_json and as_csv:
        raise click.UsageError("Give one of --json and --csv.")
    entries = _read(agent_locations(config_path, state_dir), _moment(since))
    found = _chosen(entries, {"queue": queues, "user": users, "outcome": outcomes})
    if by:
        _show_sums(found, by, as_json=as_json, as_csv=as_csv)
        return
    if limit is None and not (as_json or as_csv):
        limit = DEFAULT_LIMIT
    _show_jobs(found[:limit], len(found), as_json=as_json, as_csv=as_csv)


def _chosen(entries: Sequence[HistoryEntry], wanted: Mapping[str, tuple[str, ...]]) -> list[HistoryEntry]:
    """Return the entries of which each named field has one of its values; any value where none is named."""
    asked = {field: values for field, values in wanted.items() if values}
    return [entry for entry in entries if all(getattr(entry, field) in asked[field] for field in asked)]


def _moment(since: str | None) -> float:
    """Return the moment in ``--since``, in seconds since the epoch; of a date without a time its beginning here."""
    if since is None:
        return 0.0
    try:
        return datetime.fromisoformat(since).timestamp()
    except (ValueError, OverflowError):
        pass
    try:
        return time.time() - parse_duration(since)
    except ValueError:
        problem = f"{since!r} is neither a date, such as 2026-01-31 or 2026-01-31T18:00, nor a time such as 12h or 7d."
        raise click.BadParameter(problem, param_hint="--since") from None


def _read(locations: Sequence[AgentLocation], since: float) -> list[HistoryEntry]:
    for location in locations:
        try:
            return read_history(location.state_dir, since)
        except FileNotFoundError:
            continue
    places = " nor in ".join(str(location.state_dir) for location in locations)
    raise NoHistory(f"No agent ever ran here: there is no journal in {places}.")


def _show_jobs(entries: Sequence[HistoryEntry], found: int, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        echo_json([msgspec.to_builtins(entry) for entry in entries])
    elif as_csv:
        echo(*csv_lines([msgspec.structs.asdict(entry) for entry in entries], HistoryEntry.__struct_fields__))
    elif not entries:
        echo("No such job has ended here.")
    else:
        echo(*entry_lines(entries, terminal_width()))
        if found > len(entries):
            echo(f"The latest {len(entries)} of {format_jobs(found)}; --limit shows more, --by their sums.", err=True)


def _show_sums(entries: Sequence[HistoryEntry], by: Sequence[str], *, as_json: bool, as_csv: bool) -> None:
    sums = sums_of(entries, tuple(dict.fromkeys(by)))
    if as_json:
        echo_json(sums)
    elif as_csv:
        echo(*csv_lines(sums, tuple(sums[0]) if sums else ()))
    elif not sums:
        echo("No such job has ended here.")
    else:
        echo(*sum_lines(sums, terminal_width()))
