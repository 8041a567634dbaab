"""`launchd launch`: puts a job into a queue and, unless told otherwise, stays until it is over."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ipc.run_spec import CODE_URI_PREFIX
from ipc.targets import DEFAULT_RESOURCE
from launchd.api.item_status import Submission
from launchd.api.sources import DEFAULT_PROJECT, DEFAULT_QUEUE, PRIORITIES, artifact_name
from launchd.cli.errors import report_errors
from launchd.cli.follow import follow
from launchd.cli.json_args import json_mapping
from launchd.cli.launch_target import Target, find_target, run_spec
from launchd.cli.options import REMOTE_ERRORS, entity_of, entity_option, queue_server, server_options
from launchd.client.artifacts import upload_directory
from launchd.client.errors import Refused
from launchd.client.job_file import parse_job_name
from launchd.client.jobs import JOB_TYPE, require_version
from launchd.client.queue_server import QueueServer

#: Under this the words after ``--`` lie in click's context.
_COMMAND = "launchd.launch.command"

EXAMPLES = """\b
Examples:
  launchd launch examples/hello
  launchd launch . -E "python train.py" -c '{"epochs": 3}' -q gpu
  launchd launch https://github.com/me/project --git-version v1.2
  launchd launch --job train:latest -q gpu
  launchd launch --async --priority high -- sh -c 'echo hello'

\b
CONFIG is a JSON object, or a file with one. With `overrides`, `resource` or
`resource_args` in it, it is W&B's launch config, as in
  {"overrides": {"args": ["--fast"], "run_config": {"epochs": 3}}}
Any other is the configuration of the run, which it finds in WANDB_CONFIG.
"""


class CommandAfterDashes(click.Command):
    """A command that takes everything after ``--`` as a command line, apart from its own arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut the arguments in two at the first ``--``."""
        if "--" in args:
            place = args.index("--")
            args, ctx.meta[_COMMAND] = args[:place], tuple(args[place + 1 :])
            if not ctx.meta[_COMMAND]:
                raise click.UsageError("There is no command after --.", ctx)
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the command in the usage."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND [ARGS]...]"]


@click.command(cls=CommandAfterDashes, epilog=EXAMPLES)
@click.argument("target", required=False)
@click.option("-j", "--job", metavar="JOB", help="Launch this job, [[ENTITY/]PROJECT/]NAME[:ALIAS], instead of TARGET.")
@click.option("-q", "--queue", default=DEFAULT_QUEUE, show_default=True, help="Queue to put it into.")
@click.option("--async", "at_once", is_flag=True, help="Print the item's id and return at once.")
@click.option("-p", "--project", envvar="WANDB_PROJECT", help=f"Project of the run [default: {DEFAULT_PROJECT}].")
@click.option("--name", help="Name of the run.")
@click.option("-c", "--config", default="{}", metavar="CONFIG", help="Configuration; see below.")
@click.option("-E", "--entry-point", metavar="COMMAND", help="What to run, as one text [default: python main.py].")
@click.option("--git-version", metavar="REF", help="Branch, tag or commit of the repository.")
@click.option("--priority", type=click.Choice(list(PRIORITIES)), help="Before or after others of the queue.")
@click.option("-r", "--resource", help="What runs the job [default: as the queue says].")
@entity_option
@server_options
@click.pass_context
@report_errors(*REMOTE_ERRORS, OSError)
def launch(
    context: click.Context,
    target: str | None,
    job: str | None,
    queue: str,
    at_once: bool,
    project: str | None,
    name: str | None,
    config: str,
    entry_point: str | None,
    git_version: str | None,
    priority: str | None,
    resource: str | None,
    entity: str | None,
    url: str | None,
    state_dir: Path | None,
) -> None:
    """Launch a job through a queue and wait until it is over.

    TARGET is a directory, whose files are uploaded, or the URL of a git repository (https, ssh, user@host:path, file).
    Without TARGET, COMMAND runs in an empty directory. JOB was made with `launchd job create` or `wandb job create`.

    Exit code 0: the job has finished; 1: it failed or was stopped, or could not be launched; 130: Ctrl-C, which stops
    the job.
    """
    if job is not None and target is not None:
        raise click.UsageError("Give either TARGET or --job.")
    wanted = find_target(target, git_version, _entry_point(entry_point, context.meta.get(_COMMAND, ())))
    flags = {"project": project, "name": name, "resource": resource, "job": job}
    spec = run_spec(wanted, json_mapping(config, "--config"), flags)
    number = None if priority is None else PRIORITIES[priority]
    with queue_server(url, state_dir) as server:
        submission = _submit(server, queue, entity_of(server, entity), spec, wanted, number)
        if at_once:
            click.echo(submission.item_id)
            return
        click.echo(f"Item {submission.item_id} in queue {queue!r} of {submission.entity!r}")
        context.exit(follow(server, submission))


def _entry_point(given: str | None, command: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return command
    if command:
        raise click.UsageError("Give the command either with --entry-point or after --.")
    try:
        words = tuple(shlex.split(given))
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--entry-point") from error
    if not words:
        raise click.BadParameter("it is empty.", param_hint="--entry-point")
    return words


def _submit(
    server: QueueServer, queue: str, entity: str, spec: dict[str, Any], target: Target, priority: int | None
) -> Submission:
    detail = server.queue(entity, queue)
    if detail is None:
        there = f"There is no queue {queue!r} of {entity!r} at {server.base_url}."
        raise Refused(f"{there} Create it with: launchd queue create {queue}")
    if spec.get("job"):
        spec |= _of_job(server, spec, entity)
    defaults = {"entity": entity, "project": DEFAULT_PROJECT, "author": server.viewer().username}
    spec = defaults | spec | {"resource": spec.get("resource") or detail.resource_type or DEFAULT_RESOURCE}
    if target.directory is not None:
        name = artifact_name(target.directory)
        artifact_id = upload_directory(server, entity, spec["project"], name, target.directory)
        spec["uri"] = f"{CODE_URI_PREFIX}{artifact_id}"
    return Submission(server.push(entity, queue, spec, priority=priority), entity, queue, spec["project"])


def _of_job(server: QueueServer, spec: Mapping[str, Any], entity: str) -> dict[str, Any]:
    """The whole name of the job, which must exist, and its project where no other was named."""
    name = parse_job_name(spec["job"], entity, spec.get("project") or DEFAULT_PROJECT)
    require_version(server, name, JOB_TYPE)
    return {"job": str(name), "project": spec.get("project") or name.project}
