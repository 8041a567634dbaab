"""`launchd clean`: removes from this host's container engine what no job needs any more."""

import os
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from ipc.engine_upkeep import Cleaned, CleanImages
from ipc.settings import DockerConfig, EngineCleanupConfig
from ipc.sizes import format_size
from launchd.agent.engine_upkeep import Engine, EngineUnavailable, images_of_jobs
from launchd.agent.journal_file import JournalError
from launchd.agent.orphans import Orphans, find_orphans
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, agent_locations, engine_settings
from launchd.cli.options import agent_options, json_option
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Line, Span, echo, echo_json
from launchd.local.container_engine import why_no_engine_is_asked

_SHORT_ID = 12


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing; show what would be removed.")
@click.option("--unused", is_flag=True, help="Remove all unused images and build cache, also while the disk has room.")
@json_option
@agent_options
@report_errors(*LOCAL_ERRORS, EngineUnavailable, JournalError)
def clean(dry_run: bool, unused: bool, json: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Remove from this host's container engine what no job of this host's agent needs any more.

    These are containers of jobs that are over or that no journal knows, processes of such containers that the engine
    has forgotten, and, while the engine's disk is too full (launchd.docker.cleanup), the build cache and images that
    were pulled or built for jobs. The agent does the same at its start and from time to time.
    """
    missing = why_no_engine_is_asked()
    if missing is not None:
        raise click.ClickException(f"The container engine cannot be asked: {missing}")
    location = agent_locations(config_path, state_dir)[0]
    docker = engine_settings(config_path, os.environ)
    engine = Engine(docker.host)
    orphans = find_orphans(location.state_dir, engine.find)
    problems = () if dry_run else engine.remove(orphans.removal).problems
    cleaned = engine.clean(_cleaning(location.state_dir, docker, unused=unused, dry_run=dry_run))
    if json:
        shown = {"orphans": orphans, "engine": cleaned, "removed": not dry_run}
        echo_json(msgspec.to_builtins(shown))
    else:
        echo(*_orphan_lines(orphans, dry_run=dry_run), *_image_lines(cleaned, docker.cleanup, dry_run=dry_run))
    for problem in (*problems, *cleaned.problems):
        echo(problem, err=True)


def _cleaning(state_dir: Path, docker: DockerConfig, *, unused: bool, dry_run: bool) -> CleanImages:
    settings = docker.cleanup
    if unused:
        settings = msgspec.structs.replace(settings, above_percent=0.0, below_percent=0.0, keep_seconds=0.0)
    return CleanImages(str(state_dir), settings, images_of_jobs(state_dir), dry_run)


def _orphan_lines(orphans: Orphans, *, dry_run: bool) -> Sequence[Line]:
    rows = [
        [Span(one.container.id[:_SHORT_ID]), Span(one.container.name), Span(one.container.state), Span(one.why)]
        for one in orphans.containers
    ]
    rows += [
        [
            Span(one.container[:_SHORT_ID]),
            Span(""),
            Span("forgotten"),
            Span(f"processes {', '.join(map(str, one.pids))}"),
        ]
        for one in orphans.strays
    ]
    if not rows:
        return ["No container is orphaned."]
    title = "Orphaned containers, which would be removed:" if dry_run else "Orphaned containers, removed:"
    return [title, *table(["CONTAINER", "JOB", "STATE", "WHY"], rows, terminal_width(), "  ")]


def _image_lines(cleaned: Cleaned, settings: EngineCleanupConfig, *, dry_run: bool) -> Sequence[Line]:
    used = "" if cleaned.used_percent is None else f"; {cleaned.used_percent:.0f} % of the engine's disk is in use"
    if not cleaned.images and not cleaned.cache_bytes:
        return [f"No image is removed{used}, and images stay up to {settings.above_percent:g} %."]
    rows = [[Span(image.reference), Span(format_size(image.size))] for image in cleaned.images]
    title = "Images, which would be removed as far as needed:" if dry_run else "Images, removed:"
    cache = [f"The build cache gave back {format_size(cleaned.cache_bytes)}."] if cleaned.cache_bytes else []
    return [f"{title[:-1]}{used}:", *table(["IMAGE", "SIZE"], rows, terminal_width(), "  "), *cache]
