"""`launchd job`: create, list, describe and delete jobs, which are artifacts of the queue server in W&B's form."""

import re
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from launchd.api.job_sources import DEFAULT_ENTRY_POINT, JobOptions, image_job, repository_job
from launchd.api.sources import DEFAULT_PROJECT, is_repository
from launchd.cli.errors import report_errors
from launchd.cli.options import build_options, entity_option, include_option, json_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_entity, resolve_entity
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Span, confirm, echo, echo_json
from launchd.cli.upload_job import upload_job
from launchd.client.errors import Refused
from launchd.client.job_file import FROZEN_FILE, JobFile, JobName, parse_job_name, safe_name
from launchd.client.jobs import (
    aliases_of,
    create_job,
    delete_job,
    delete_version,
    download_job,
    items_that_name,
    list_jobs,
    versions_of,
)
from launchd.client.models.artifacts import ArtifactVersion
from launchd.client.queue_server import Item
from launchd.humanize import counted, join_names, join_some, one_line

#: Versions of Python that W&B's clients accept.
_RUNTIME = re.compile(r"3\.[0-9]+")

_OUTCOMES = {"created": "was created", "updated": "has a new version", "unchanged": "is unchanged"}

project_option = click.option(
    "-p", "--project", envvar="WANDB_PROJECT", default=DEFAULT_PROJECT, show_default=True, help="Project of the job."
)


class _Kind(click.Choice):  # type: ignore[type-arg]
    """The kind of a job; in its place many write the path alone."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        kind = "git" if is_repository(str(value)) else "code" if Path(str(value)).is_dir() else None
        if value not in self.choices and kind is not None:
            self.fail(f"{value!r} is a path. Say first what it is: launchd job create {kind} {shlex.quote(value)}")
        return str(super().convert(value, param, ctx))


@click.group()
def job() -> None:
    """Create, list, describe and delete jobs: sources with an entry point, kept at the queue server under a name."""


@job.command(
    epilog="\b\nExamples:\n"
    "  launchd job create git https://github.com/me/project -E 'python train.py' -g v1.2\n"
    "  launchd job create code . -E 'python train.py' -n train -a best\n"
    "  launchd job create code . -E 'python analysis.ipynb'"
)
@click.argument("kind", type=_Kind(["git", "code", "image"]))
@click.argument("path")
@click.option("-n", "--name", help="Name of the job [default: made from PATH].")
@click.option("-d", "--description", help="Description of the job.")
@click.option("-a", "--alias", "aliases", multiple=True, help="Alias of the new version, beside `latest`.")
@click.option(
    "-E",
    "--entry-point",
    metavar="COMMAND",
    help="Command to run, as one text; a notebook at its end is run as a script [default: python main.py].",
)
@click.option("-g", "--git-hash", metavar="REF", help="Branch, tag or commit of the repository.")
@click.option("-r", "--runtime", metavar="3.N", help="Version of Python [default: the one that runs this].")
@build_options
@include_option
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS, OSError)
def create(
    kind: str,
    path: str,
    name: str | None,
    description: str | None,
    aliases: tuple[str, ...],
    entry_point: str | None,
    git_hash: str | None,
    runtime: str | None,
    build_context: str | None,
    dockerfile: str | None,
    base_image: str | None,
    include: tuple[str, ...],
    project: str,
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """Create a job of PATH: the URL of a git repository, a directory, or a container image.

    If the job exists, it gets a new version, unless nothing has changed.
    """
    if runtime is not None and not _RUNTIME.fullmatch(runtime):
        raise click.BadParameter(f"{runtime!r} is no version of Python 3, such as 3.11.", param_hint="--runtime")
    given = (entry_point, git_hash, runtime, build_context, dockerfile, base_image)
    _check(kind, path, name, given)
    options = JobOptions(
        entry_point=_split_command(entry_point),
        runtime=runtime,
        build_context=build_context,
        dockerfile=dockerfile,
        base_image=base_image,
    )
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        if kind == "git":
            new = repository_job(path, git_hash, options)
            if new.warning:
                echo(new.warning, err=True)
        elif kind == "code":
            new = upload_job(server, owner, project, Path(path), name, options, include)
        else:
            new = image_job(path)
        created = create_job(
            server,
            JobName(owner, project, name or new.name),
            new.job,
            requirements=new.requirements,
            aliases=(*aliases, *new.aliases),
            description=description,
        )
    echo(f"Job {created.name} {_OUTCOMES[created.outcome]}.")


def _check(kind: str, path: str, name: str | None, given: tuple[str | None, ...]) -> None:
    if name is not None and name != safe_name(name):
        raise click.UsageError(f"{name!r} is no name for a job; {safe_name(name)!r} is one.")
    if kind == "image" and given != (None,) * len(given):
        raise click.UsageError(
            "An image has its command, Python and files in itself: leave out -E, -g, -r, -b, -D, -B."
        )
    if kind == "code" and not Path(path).is_dir():
        raise click.UsageError(f"{path!r} is no directory.")
    if kind != "git" and given[1] is not None:
        raise click.UsageError("--git-hash is for jobs of a git repository.")


def _split_command(entry_point: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(entry_point or "")) or DEFAULT_ENTRY_POINT
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--entry-point") from error


@job.command("list")
@json_option
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def list_all(json: bool, project: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """List the jobs of a project, with all their versions."""
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        found = list_jobs(server, owner, project)
        if not found:
            require_entity(server, owner)
    if json:
        echo_json(msgspec.to_builtins(found))
        return
    if not found:
        echo(f"There are no jobs in project {project!r} of {owner!r}. Make one with: launchd job create")
        return
    rows = [[Span(text) for text in _row(version)] for version in found]
    echo(*table(("NAME", "VERSION", "ALIASES", "DESCRIPTION"), rows, terminal_width()))


def _row(version: ArtifactVersion) -> tuple[str, str, str, str]:
    number = f"v{version.version_index}"
    aliases = [alias.alias for alias in version.aliases if alias.alias != number]
    return version.artifact_sequence.name, number, join_names(aliases), one_line(version.description)


@job.command()
@click.argument("name")
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS, OSError)
def describe(name: str, project: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Show source and entry point of the job NAME, which is [[ENTITY/]PROJECT/]NAME[:ALIAS]."""
    with queue_server(url, state_dir) as server, tempfile.TemporaryDirectory() as directory:
        owner = resolve_entity(server, entity) if name.count("/") < 2 else entity
        known = parse_job_name(name, owner, project)
        found = download_job(server, known, Path(directory))
        packages = Path(directory, FROZEN_FILE)
        count = len(packages.read_text(errors="replace").split()) if packages.is_file() else 0
    lines = [("Job", str(known)), *_described(found), ("Packages", str(count))]
    echo(*(f"{label + ':':<14} {text}" for label, text in lines if text))


@job.command(epilog="\b\nExamples:\n  launchd job delete train\n  launchd job delete me/demo/train:v2")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@project_option
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def delete(name: str, yes: bool, project: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Delete the job NAME, which is [[ENTITY/]PROJECT/]NAME, or with :ALIAS that version alone.

    Refused while items that have not ended name it, in the queues of its entity. The code, repository or image that it
    names stays, and so do its runs.
    """
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity) if name.count("/") < 2 else entity
        known = parse_job_name(name, owner, project)
        versions = versions_of(server, known)
        if not versions:
            raise Refused(f"There is no job {known.name!r} in project {known.project!r} of {known.entity!r}.")
        chosen = _version(versions, known) if ":" in name else None
        what = f"version v{chosen.version_index} of job {known.name!r}" if chosen else f"job {known.name!r}"
        _refuse_if_needed(items_that_name(server, known, chosen), what)
        if not yes:
            of_all = "" if chosen else f" with {counted(len(versions), 'version')}"
            confirm(f"Delete {what} in project {known.project!r} of {known.entity!r}{of_all}?")
        if chosen is None:
            delete_job(server, versions)
        else:
            delete_version(server, chosen)
    echo(f"{what[0].upper()}{what[1:]} was deleted.")


def _version(versions: Sequence[ArtifactVersion], name: JobName) -> ArtifactVersion:
    found = next((version for version in versions if name.alias in aliases_of(version)), None)
    if found is None:
        raise Refused(f"Job {name.name!r} has no version {name.alias!r}.")
    return found


def _refuse_if_needed(items: Sequence[Item], what: str) -> None:
    if items:
        names = join_some([item.id for item in items])
        raise Refused(f"Items that have not ended name {what}: {names}. Stop them, or wait for their end.")


def _described(found: JobFile) -> list[tuple[str, str | None]]:
    source = found.source
    return [
        ("Kind", found.source_type),
        ("Repository", source.git.remote if source.git else None),
        ("Commit", source.git.commit if source.git else None),
        ("Code", source.artifact),
        ("Image", source.image),
        ("Entry point", shlex.join(source.entrypoint or ()) or None),
        ("Python", found.runtime or None),
        ("Build context", source.build_context),
        ("Dockerfile", source.dockerfile),
        ("Base image", source.base_image),
    ]
