"""`launchd launch`: puts a job into a queue and, without `--async`, follows it to its end."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from ipc.run_spec import CODE_URI_PREFIX
from ipc.targets import DEFAULT_RESOURCE
from launchd.api.errors import LaunchError
from launchd.api.item_status import Submission
from launchd.api.job_sources import DEFAULT_ENTRY_POINT, JobOptions, repository_job
from launchd.api.sources import (
    DEFAULT_PROJECT,
    DEFAULT_QUEUE,
    PRIORITIES,
    artifact_name,
    checked_resource,
    is_repository,
)
from launchd.cli import completion
from launchd.cli.durations import duration
from launchd.cli.errors import report_errors
from launchd.cli.follow import follow as follow_item
from launchd.cli.json_args import json_mapping
from launchd.cli.launch_target import Target, build_run_spec, check_command, find_target, with_time_limit, within
from launchd.cli.options import build_options, entity_option, include_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, require_entity, resolve_entity
from launchd.cli.terminal import echo
from launchd.cli.unheeded import warn_of_unheeded
from launchd.cli.upload_job import upload_job
from launchd.cli.upload_view import UploadView
from launchd.client.artifacts import upload_directory
from launchd.client.errors import Refused
from launchd.client.job_file import JobName, parse_job_name
from launchd.client.jobs import JOB_TYPE, create_job, require_version
from launchd.client.queue_server import QueueDetail, QueueServer

#: Key in click's context of the command after ``--``.
_COMMAND = "launchd.launch.command"

EXAMPLES = """\b
Examples:
  launchd launch examples/hello
  launchd launch . -E "python train.py" -c '{"epochs": 3}' -q gpu
  launchd launch https://github.com/me/project --git-version v1.2
  launchd launch --job train:latest -q gpu
  launchd launch . -E "python analysis.ipynb" -D docker/Dockerfile -q gpu
  launchd launch --docker-image python:3.12 -q gpu -- python -c 'print(1)'
  launchd launch --async --priority high -- sh -c 'echo hello'

\b
CONFIG is a JSON object, or a file with one. With the key `overrides`,
`resource` or `resource_args`, it is W&B's launch config, as in
  {"overrides": {"args": ["--fast"], "run_config": {"epochs": 3}}}
Any other is the configuration of the run, which gets it as WANDB_CONFIG.
"""


def _known_resource(context: click.Context, option: click.Parameter, given: str | None) -> str | None:
    """Return the name of a resource; raises :class:`click.BadParameter` for one that there is not."""
    try:
        return None if given is None else checked_resource(given)
    except LaunchError as error:
        raise click.BadParameter(str(error), context, option) from error


class CommandAfterDashes(click.Command):
    """A click command whose arguments after ``--`` are a command line of their own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the arguments at the first ``--``."""
        if "--" in args:
            index = args.index("--")
            args, ctx.meta[_COMMAND] = args[:index], tuple(args[index + 1 :])
            if not ctx.meta[_COMMAND]:
                raise click.UsageError("There is no command after --.", ctx)
            check_command(ctx.meta[_COMMAND])
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Add the command to the usage."""
        return [*filter(None, super().collect_usage_pieces(ctx)), "[-- COMMAND [ARGS]...]"]


@click.command(cls=CommandAfterDashes, epilog=EXAMPLES)
@click.argument("target", required=False)
@click.argument("more", metavar="", nargs=-1)
@click.option("-j", "--job", metavar="JOB", help="Launch this job, [[ENTITY/]PROJECT/]NAME[:ALIAS], instead of TARGET.")
@click.option("-d", "--docker-image", metavar="IMAGE", help="Launch this container image instead of TARGET.")
@click.option(
    "-q",
    "--queue",
    default=DEFAULT_QUEUE,
    show_default=True,
    help="Queue of the item.",
    shell_complete=completion.queues,
)
@click.option("--async", "at_once", is_flag=True, help="Print the item's id and return at once.")
@click.option("--follow/--no-follow", default=None, help="Print the job's output [default: on a terminal].")
@click.option("-p", "--project", envvar="WANDB_PROJECT", help=f"Project of the run [default: {DEFAULT_PROJECT}].")
@click.option("--name", help="Name of the run.")
@click.option("-c", "--config", default="{}", metavar="CONFIG", help="Configuration; see below.")
@click.option(
    "-E",
    "--entry-point",
    metavar="COMMAND",
    help="Command to run, as one text; a notebook at its end is run as a script [default: python main.py].",
)
@build_options
@click.option("--git-version", metavar="REF", help="Branch, tag or commit of the repository.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)), help="Priority in the queue.")
@click.option(
    "-r",
    "--resource",
    callback=_known_resource,
    help="Resource that runs the job [default: the queue's].",
)
@click.option(
    "--time-limit",
    callback=duration,
    metavar="TIME",
    help="Stop the job when it has run for TIME, such as 90s, 30m, 1h30m or 2d; the queue may have a shorter limit.",
)
@include_option
@entity_option
@server_options
@click.pass_context
@report_errors(*REMOTE_ERRORS, OSError)
def launch(
    context: click.Context,
    target: str | None,
    more: tuple[str, ...],
    job: str | None,
    docker_image: str | None,
    queue: str,
    at_once: bool,
    follow: bool | None,
    project: str | None,
    name: str | None,
    config: str,
    entry_point: str | None,
    build_context: str | None,
    dockerfile: str | None,
    base_image: str | None,
    git_version: str | None,
    priority: str | None,
    resource: str | None,
    time_limit: float | None,
    include: tuple[str, ...],
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """Launch a job through a queue and wait until it is over.

    TARGET is a directory, whose files are uploaded, or the URL of a git repository (https, ssh, user@host:path, file).
    Files that may hold secrets, such as .env, .netrc, *.key or what is in .ssh, are not uploaded unless --include names
    them. Without TARGET, COMMAND runs in an empty directory. JOB is one of `launchd job create` or `wandb job create`.
    IMAGE runs COMMAND, or its own, on a queue for containers. With -b, -D or -B, and for a COMMAND that ends with a
    notebook, a job is made of TARGET first, as by `launchd job create`. With a JOB, -D is used in place of its own.

    Exit code 0: the job has finished; 1: it failed or was stopped, or could not be launched; 130: Ctrl-C, which stops
    the job.
    """
    _check_what_is_launched(target, more, job, docker_image)
    _check_address(url, target or job or docker_image)
    found = find_target(target, git_version, _entry_point(entry_point, context.meta.get(_COMMAND, ())))
    source = within(found, build_context)
    options = JobOptions(
        entry_point=source.entry_point or DEFAULT_ENTRY_POINT,
        build_context=build_context,
        dockerfile=dockerfile,
        base_image=base_image,
    )
    _check_options(options, target, job)
    flags = {"project": project, "name": name, "resource": resource, "job": job}
    spec = _spec_of(source, json_mapping(config, "--config"), flags, docker_image, dockerfile)
    warn_of_unheeded(spec)
    number = PRIORITIES.get(priority or "")
    with queue_server(url, state_dir) as server:
        owner = resolve_entity(server, entity)
        if options.needs_job and job is None:
            _require_queue(server, queue, owner)
            source, spec = Target(), _with_job(server, owner, spec, source, options, include)
        submission = _push(server, queue, owner, spec, source, include, number, time_limit)
        if at_once:
            echo(submission.item_id)
            return
        context.exit(_follow(server, submission, follow))


def _check_what_is_launched(
    target: str | None, more: tuple[str, ...], job: str | None, docker_image: str | None
) -> None:
    if target is not None and more:
        command = shlex.join([target, *more])
        raise click.UsageError(f"Launch one TARGET. For a command, write: launchd launch -- {command}")
    if [target, job, docker_image].count(None) < 2:
        raise click.UsageError("Give one of TARGET, --job and --docker-image.")


def _check_address(url: str | None, source: str | None) -> None:
    """Refuse the URL of a repository as that of the server: at W&B's command line it stands after ``-u``."""
    if source is None and url is not None and urlsplit(url).path.strip("/") and is_repository(url):
        raise click.UsageError(
            f"-u is the address of the queue server, and {url} seems to be a repository. To launch that, write:"
            f" launchd launch {shlex.quote(url)}"
        )


def _spec_of(
    source: Target,
    config: dict[str, Any],
    flags: Mapping[str, Any],
    docker_image: str | None,
    dockerfile: str | None,
) -> dict[str, Any]:
    """Return the run spec; a Dockerfile stands in it where a job is launched, which has one of its own."""
    docker = None if docker_image is None else {"docker_image": docker_image}
    spec = build_run_spec(source, config, {**flags, "docker": docker})
    if flags["job"] is not None and dockerfile is not None:
        spec["overrides"]["dockerfile"] = dockerfile
    return spec


def _follow(server: QueueServer, submission: Submission, follow: bool | None) -> int:
    """Follow an item to its end; with its output on a terminal, unless it is said. Returns the exit code."""
    echo(f"Item {submission.item_id} in queue {submission.queue!r} of {submission.entity!r}")
    with_output = sys.stdout.isatty() if follow is None else follow
    return follow_item(server, submission, with_output=with_output)


def _check_options(options: JobOptions, target: str | None, job: str | None) -> None:
    if not options.needs_job or target is not None:
        return
    if job is None or options.is_notebook or options.build_context or options.base_image:
        raise click.UsageError(
            "-b, -B and a notebook are for a TARGET, a directory or a git repository, and -D for one or a job."
        )


def _entry_point(given: str | None, command: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return command
    if command:
        raise click.UsageError("Give the command either with --entry-point or after --.")
    try:
        arguments = tuple(shlex.split(given))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--entry-point") from error
    if not arguments:
        raise click.BadParameter("it is empty.", param_hint="--entry-point")
    return arguments


def _push(
    server: QueueServer,
    queue: str,
    entity: str,
    spec: dict[str, Any],
    target: Target,
    include: tuple[str, ...],
    priority: int | None,
    time_limit: float | None,
) -> Submission:
    detail = _require_queue(server, queue, entity)
    if spec.get("job"):
        spec |= _job_keys(server, spec, entity)
    defaults = {"entity": entity, "project": DEFAULT_PROJECT, "author": server.viewer().username}
    spec = defaults | spec | {"resource": spec.get("resource") or detail.resource_type or DEFAULT_RESOURCE}
    if time_limit is not None:
        spec["resource_args"] = with_time_limit(spec, time_limit)
    if target.directory is not None:
        name = artifact_name(target.directory)
        project, directory = spec["project"], target.directory
        with UploadView() as view:
            artifact_id = upload_directory(
                server, entity, project, name, directory, include=include, on_listed=view.listed, on_sent=view.sent
            )
        spec["uri"] = f"{CODE_URI_PREFIX}{artifact_id}"
    return Submission(server.push(entity, queue, spec, priority=priority), entity, queue, spec["project"])


def _require_queue(server: QueueServer, queue: str, entity: str) -> QueueDetail:
    detail = server.queue(entity, queue)
    if detail is None:
        require_entity(server, entity)
        missing = f"There is no queue {queue!r} of {entity!r} at {server.base_url}."
        owner = "" if entity == server.viewer().entity else f" --entity {shlex.quote(entity)}"
        raise Refused(f"{missing} Create it with: launchd queue create {shlex.quote(queue)}{owner}")
    return detail


def _with_job(
    server: QueueServer,
    entity: str,
    spec: Mapping[str, Any],
    target: Target,
    options: JobOptions,
    include: tuple[str, ...],
) -> dict[str, Any]:
    """Make a job of the target, and return the run spec of that job in place of the target's."""
    project = spec.get("project") or DEFAULT_PROJECT
    if target.directory is not None:
        new = upload_job(server, entity, project, target.directory, None, options, include)
    else:
        new = repository_job(target.repository or "", target.version, options)
    created = create_job(server, JobName(entity, project, new.name), new.job, requirements=new.requirements)
    overrides = {key: value for key, value in spec["overrides"].items() if key != "entry_point"}
    kept = {key: value for key, value in spec.items() if key != "git"}
    if new.warning:
        # The job has no credentials: they go with this run alone.
        kept["git"] = {"repo": target.repository}
    return kept | {"job": str(created.name), "project": project, "overrides": overrides}


def _job_keys(server: QueueServer, spec: Mapping[str, Any], entity: str) -> dict[str, Any]:
    """Return the keys of a run spec for its job, which must exist: the full name, and the project."""
    name = parse_job_name(spec["job"], entity, spec.get("project") or DEFAULT_PROJECT)
    require_version(server, name, JOB_TYPE)
    return {"job": str(name), "project": spec.get("project") or name.project}
