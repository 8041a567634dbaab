"""`launchd up`: a queue server and an agent for this machine, as two child processes, until Ctrl-C."""

import os
import shlex
from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.local_stack import LocalStack
from launchd.cli.options import state_dir_option
from launchd.client.errors import QueueServerError
from launchd.humanize import jobs_run_on, limit_in_words
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

    The first start makes an API key and the queue `default`. The other commands find this server by themselves, as long
    as WANDB_BASE_URL is not set. Jobs are processes of yours; git repositories of this machine are allowed.

    Ctrl-C and SIGTERM end both; jobs run on, and the next `launchd up` takes them over.
    """
    home = LocalInstance((state_dir or default_directory(os.environ)).absolute())
    with home.lock():
        machine = LocalStack(home, _jobs() if max_jobs is None else max_jobs, port)
        try:
            if machine.start():
                _print_next_steps(machine, home)
            machine.supervise(click.echo)
            jobs = machine.jobs()
            click.echo("Leaving ...")
        finally:
            machine.stop()
    if jobs:
        click.echo(f"{jobs_run_on(jobs)}; the next `launchd up` takes over.")


def _jobs() -> int:
    return max(MIN_JOBS, len(os.sched_getaffinity(0)) // 2)


def _print_next_steps(machine: LocalStack, home: LocalInstance) -> None:
    title = click.style("launchd is up", fg="green", bold=True)
    click.echo(f"{title}: queue server at {machine.url}, agent for {limit_in_words(machine.max_jobs)}\n")
    click.echo("In another terminal:")
    if home.directory != default_directory(os.environ):
        click.echo(f"  export LAUNCHD_STATE_DIR={shlex.quote(str(home.directory))}")
    click.echo("  launchd launch -- echo hello     run a command")
    click.echo("  launchd launch DIRECTORY         run main.py of a directory")
    click.echo("  launchd status --watch           see the jobs\n")
    key_file = shlex.quote(str(home.key_file))
    click.echo(f"For W&B's own client, once for all:\n  launchd login --host {machine.url} < {key_file}")
    click.echo(f"or in one terminal:\n  export WANDB_BASE_URL={machine.url}")
    click.echo(f"  export WANDB_API_KEY=$(cat {key_file})\n")
    click.echo(f"Logs:\n  {home.server_log}\n  {home.agent_log}\n")
    click.echo("Ctrl-C to leave.")
