"""`launchd up`: runs a queue server and an agent for this machine, as two child processes, until Ctrl-C."""

import os
import shlex
from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.local_stack import LocalStack
from launchd.cli.options import state_dir_option
from launchd.client.errors import QueueServerError
from launchd.humanize import format_job_limit, jobs_run_on
from launchd.local.instance import InstanceInUse, InstanceNotRunning, LocalInstance, default_directory

MIN_JOBS = 2

EXAMPLES = """\b
Then, in another terminal:
  launchd launch -- echo hello
  launchd status
"""


@click.command(epilog=EXAMPLES)
@click.option("-j", "--max-jobs", type=click.IntRange(min=-1), help="Jobs at a time [default: half of the cores].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the server [default: as last time].")
@state_dir_option
@report_errors(InstanceInUse, InstanceNotRunning, QueueServerError, OSError)
def up(max_jobs: int | None, port: int | None, state_dir: Path | None) -> None:
    """Run a queue server and an agent on this machine, in the foreground.

    The first start creates an API key and the queue `default`. The other commands find this server by themselves, as
    long as WANDB_BASE_URL is not set. Jobs are processes of your user; git repositories of this machine are allowed.

    Ctrl-C and SIGTERM end both; jobs run on, and the next `launchd up` adopts them.
    """
    instance = LocalInstance((state_dir or default_directory(os.environ)).absolute())
    with instance.lock():
        stack = LocalStack(instance, _default_max_jobs() if max_jobs is None else max_jobs, port)
        try:
            if stack.start():
                _print_next_steps(stack, instance)
                _warn_of_root()
            stack.supervise(click.echo)
            jobs = stack.jobs()
            click.echo("Stopping ...")
        finally:
            stack.stop()
    if jobs:
        pronoun = "it" if jobs == 1 else "them"
        click.echo(f"{jobs_run_on(jobs)}; the next `launchd up` adopts {pronoun}.")


def _default_max_jobs() -> int:
    return max(MIN_JOBS, len(os.sched_getaffinity(0)) // 2)


def _warn_of_root() -> None:
    if os.geteuid() == 0:
        click.secho(
            "Jobs run as root here, with all rights on this machine: run `launchd up` as another user, or a service "
            "with launchd.policy.run_as_users.",
            fg="yellow",
            err=True,
        )


def _print_next_steps(stack: LocalStack, instance: LocalInstance) -> None:
    title = click.style("launchd is up", fg="green", bold=True)
    click.echo(f"{title}: queue server at {stack.url}, agent for {format_job_limit(stack.max_jobs)}\n")
    click.echo("In another terminal:")
    if instance.directory != default_directory(os.environ):
        click.echo(f"  export LAUNCHD_STATE_DIR={shlex.quote(str(instance.directory))}")
    click.echo("  launchd launch -- echo hello     run a command")
    click.echo("  launchd launch DIRECTORY         run main.py of a directory")
    click.echo("  launchd status --watch           see the jobs\n")
    key_file = shlex.quote(str(instance.key_file))
    click.echo(f"For W&B's own client, once for all:\n  launchd login --host {stack.url} < {key_file}")
    click.echo(f"or in one terminal:\n  export WANDB_BASE_URL={stack.url}")
    click.echo(f"  export WANDB_API_KEY=$(cat {key_file})\n")
    click.echo(f"Logs:\n  {instance.server_log}\n  {instance.agent_log}\n")
    click.echo("Ctrl-C to stop.")
