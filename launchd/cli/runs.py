"""`launchd runs` and `launchd run show`: which runs there are, and what one holds."""

from collections.abc import Sequence
from pathlib import Path

import click

from launchd.cli.curve import MOST_COLUMNS
from launchd.cli.errors import report_errors
from launchd.cli.options import entity_option, json_option, server_options
from launchd.cli.run_view import as_json, metric_lines, plain_points, run_lines, run_table
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_entity, resolve_entity
from launchd.cli.tables import terminal_width
from launchd.cli.terminal import echo, echo_json
from launchd.cli.web_pages import run_page
from launchd.client.errors import Refused
from launchd.client.queue_server import QueueServer
from launchd.client.run_reading import Run, find_runs, list_runs, projects_of, read_metric, read_run

#: Those of runs at a queue server.
STATES = ("pending", "running", "finished", "failed", "crashed", "killed", "preempting", "preempted")

#: How many points of a metric are read: more than one for each column of a curve.
_SAMPLES = 10 * MOST_COLUMNS
_MOST_RUNS = 1000

project_option = click.option(
    "-p", "--project", envvar="WANDB_PROJECT", help="Project of the runs [default: all projects]."
)


@click.command(
    epilog="\b\nExamples:\n"
    "  launchd runs -p demo --metric loss --metric val.accuracy\n"
    "  launchd runs --state running --limit 100"
)
@click.option(
    "-m", "--metric", "metrics", multiple=True, metavar="KEY", help="Show this key of the summaries; may be repeated."
)
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="Runs in this state; may be repeated."
)
@click.option(
    "-n", "--limit", default=20, show_default=True, type=click.IntRange(1, _MOST_RUNS - 1), help="Runs to show."
)
@json_option
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def runs(
    metrics: tuple[str, ...],
    states: tuple[str, ...],
    limit: int,
    json: bool,
    project: str | None,
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """List the runs of a project, or of all projects of an entity, the newest first."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        found = _newest(server, owner, project, limit + 1, states, metrics)
    shown = found[:limit]
    if json:
        echo_json([as_json(one) for one in shown])
    elif shown:
        echo(*run_table(shown, metrics, with_project=project is None, width=terminal_width()))
    else:
        echo(
            f"There are no such runs of {owner!r}."
            if project is None
            else f"There are no such runs in project {project!r} of {owner!r}."
        )
    if len(found) > limit:
        echo(f"The {limit} newest are shown; --limit {min(_MOST_RUNS - 1, 10 * limit)} shows more.", err=True)


@click.group()
def run() -> None:
    """Show a run of the queue server."""


@run.command(epilog="\b\nExamples:\n  launchd run show vi1zd4gs\n  launchd run show me/demo/vi1zd4gs --metric loss")
@click.argument("run_name", metavar="RUN")
@click.option(
    "-m", "--metric", "metrics", multiple=True, metavar="KEY", help="Draw how this metric went; may be repeated."
)
@json_option
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def show(
    run_name: str,
    metrics: tuple[str, ...],
    json: bool,
    project: str | None,
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """Show config, summary and origin of a run, and small curves of its metrics.

    RUN is its id or its name, or [ENTITY/]PROJECT/ID, the end of its page's address.
    """
    with queue_server(url, state_dir) as server:
        found = _require_run(server, run_name, project, entity)
        histories = {key: read_metric(server, found, key, _SAMPLES) for key in metrics}
        page = run_page(server, found)
    if json:
        points = {key: plain_points(lines) for key, lines in histories.items()}
        echo_json({**as_json(found), "page": page, "history": points})
        return
    width = terminal_width()
    echo(*run_lines(found, page), *(line for key in histories for line in metric_lines(key, histories[key], width)))


def _newest(
    server: QueueServer, entity: str, project: str | None, limit: int, states: Sequence[str], metrics: Sequence[str]
) -> list[Run]:
    """Return the newest runs of a project, or of all projects of an entity."""
    # A key with dots may be one of W&B's nested values, which the server gives whole.
    keys = sorted({part for key in metrics for part in (key, key.partition(".")[0])})
    if project is not None:
        return _runs_in(server, entity, project, limit, states, keys)
    found = [
        run
        for name in _projects(server, entity)
        for run in list_runs(server, entity, name, limit, states=states, keys=keys) or []
    ]
    return sorted(found, key=_age)[:limit]


def _age(run: Run) -> float:
    return -run.created_at.timestamp() if run.created_at else 0.0


def _runs_in(
    server: QueueServer, entity: str, project: str, limit: int, states: Sequence[str], keys: Sequence[str]
) -> list[Run]:
    found = list_runs(server, entity, project, limit, states=states, keys=keys)
    if found is None:
        require_entity(server, entity)
        raise Refused(f"There is no project {project!r} of {entity!r}.")
    return found


def _projects(server: QueueServer, entity: str) -> list[str]:
    found = projects_of(server, entity)
    if not found:
        require_entity(server, entity)
    return found


def _require_run(server: QueueServer, word: str, project: str | None, entity: str | None) -> Run:
    """Return the run that is meant, with everything but its history; raises `QueueServerError` where none is."""
    path, run_id = _path_of(word)
    owner = path[0] if len(path) == 2 else resolve_entity(server, entity)
    place = path[-1] if path else project
    names = [place] if place else _projects(server, owner)
    chosen = _choose([run for name in names for run in find_runs(server, owner, name, run_id)], run_id)
    whole = read_run(server, owner, chosen.project, chosen.id) if chosen is not None else None
    if whole is None:
        where = f"in project {place!r} of {owner!r}" if place else f"of {owner!r}"
        raise Refused(f"There is no run {run_id!r} {where} at {server.base_url} that you may see.")
    return whole


def _path_of(word: str) -> tuple[list[str], str]:
    """Return what stands before the id of a run, which is [[ENTITY/]PROJECT], and the id."""
    *path, run_id = word.strip("/").split("/")
    if path and path[-1] == "runs":
        path.pop()
    if len(path) > 2:
        raise Refused(f"{word!r} is no run: name it by its id, or as ENTITY/PROJECT/ID.")
    return path, run_id


def _choose(matches: Sequence[Run], word: str) -> Run | None:
    """Return the run of this id, else the newest of this name."""
    by_id = [run for run in matches if run.id == word]
    if len(by_id) > 1:
        places = " and ".join(f"{run.entity}/{run.project}/{run.id}" for run in by_id)
        raise Refused(f"There are several runs {word!r}: {places}. Name one of them so.")
    return next(iter(by_id or sorted(matches, key=_age)), None)
