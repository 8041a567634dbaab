"""`launchd up`: runs a queue server and an agent for this machine, as two child processes, until Ctrl-C."""

import getpass
import os
import shlex
import sys
from pathlib import Path

import click

from launchd.agent.control.client import SOCKET_NAME
from launchd.cli.errors import report_errors
from launchd.cli.local_stack import LocalStack
from launchd.cli.options import state_dir_option
from launchd.cli.terminal import Span, echo
from launchd.client.errors import QueueServerError
from launchd.config.loader import MAX_SOCKET_PATH
from launchd.humanize import format_job_limit, jobs_run_on
from launchd.local import user_service
from launchd.local.instance import InstanceInUse, InstanceNotRunning, LocalInstance, default_directory
from launchd.local.user_service import ServiceError

MIN_JOBS = 2

EXAMPLES = """\b
Then, in another terminal:
  launchd launch -- echo hello
  launchd status
"""


@click.command(epilog=EXAMPLES)
@click.option("-j", "--max-jobs", type=click.IntRange(min=-1), help="Jobs at a time [default: half of the cores].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the server [default: as last time].")
@click.option("--install-service", "service", flag_value="install", help="Run it by your own systemd, from now on.")
@click.option("--remove-service", "service", flag_value="remove", help="End and remove that service.")
@state_dir_option
@report_errors(InstanceInUse, InstanceNotRunning, QueueServerError, ServiceError, OSError)
def up(max_jobs: int | None, port: int | None, service: str | None, state_dir: Path | None) -> None:
    """Run a queue server and an agent on this machine, in the foreground.

    The first start creates an API key and the queue `default`. The other commands find this server by themselves, as
    long as WANDB_BASE_URL is not set. Jobs are processes of your user, and, where Docker or podman answers
    ($DOCKER_HOST, else /var/run/docker.sock), containers; git repositories of this machine are allowed.

    Ctrl-C and SIGTERM end both; jobs run on, and the next `launchd up` adopts them.

    With --install-service, the other options are those of the service. It is a unit of your own systemd,
    launchd-up.service, and starts with your login, or with the machine once you have called `loginctl enable-linger`.
    """
    if service == "remove":
        _remove_service()
        return
    if service == "install":
        _install_service(_options(max_jobs, port, state_dir))
        return
    instance = LocalInstance((state_dir or default_directory(os.environ)).absolute())
    _check_length(instance)
    with instance.lock():
        stack = LocalStack(instance, _default_max_jobs() if max_jobs is None else max_jobs, port)
        try:
            if stack.start():
                _print_next_steps(stack, instance)
                _warn_of_root()
            stack.supervise(echo)
            jobs = stack.jobs()
            echo("Stopping ...")
        finally:
            stack.stop()
    if jobs:
        pronoun = "it" if jobs == 1 else "them"
        echo(f"{jobs_run_on(jobs)}; the next `launchd up` adopts {pronoun}.")


def _check_length(instance: LocalInstance) -> None:
    if len(os.fsencode(instance.runtime_dir / SOCKET_NAME)) > MAX_SOCKET_PATH:
        raise click.ClickException(
            f"The path {instance.directory} is too long for the socket of an agent: name a shorter one with"
            " --state-dir."
        )


def _options(max_jobs: int | None, port: int | None, state_dir: Path | None) -> list[str]:
    given = {"--max-jobs": max_jobs, "--port": port, "--state-dir": state_dir and state_dir.absolute()}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def _install_service(options: list[str]) -> None:
    path = user_service.unit_path(os.environ)
    text = user_service.unit_text([sys.executable, "-m", "launchd", "up", *options], os.environ)
    user_service.install(path, text)
    echo(f"{path} is installed and started. See it with: systemctl --user status {user_service.UNIT}")
    user = getpass.getuser()
    if not user_service.runs_without_login(user):
        echo(f"It ends with your last logout, and its jobs with it. To have it stay: loginctl enable-linger {user}")


def _remove_service() -> None:
    path = user_service.unit_path(os.environ)
    removed = user_service.remove(path)
    echo(f"{path} is ended and removed; its jobs run on." if removed else f"There is no {path}.")


def _default_max_jobs() -> int:
    return max(MIN_JOBS, len(os.sched_getaffinity(0)) // 2)


def _warn_of_root() -> None:
    if os.geteuid() == 0:
        text = (
            "Jobs run as root here, with all rights on this machine: run `launchd up` as another user, or a service "
            "with launchd.policy.run_as_users."
        )
        echo([Span(text, "yellow")], err=True)


def _print_next_steps(stack: LocalStack, instance: LocalInstance) -> None:
    title = Span("launchd is up", "green", bold=True)
    about = f": queue server at {stack.url}, agent for {format_job_limit(stack.max_jobs)}"
    echo([title, Span(about)], "", "In another terminal:")
    if instance.directory != default_directory(os.environ):
        echo(f"  export LAUNCHD_STATE_DIR={shlex.quote(str(instance.directory))}")
    echo(
        "  launchd launch -- echo hello     run a command",
        "  launchd launch DIRECTORY         run main.py of a directory",
        "  launchd status --watch           see the jobs",
    )
    if stack.without_containers is None:
        echo("  launchd launch -d IMAGE -r local-container     run an image")
    else:
        echo("", f"Jobs are processes here, no containers: {stack.without_containers}")
    key_file = shlex.quote(str(instance.key_file))
    echo("", "In a browser:", f"  {stack.url}     sign in with the key in {key_file}")
    echo("", "For W&B's own client, once for all:", f"  launchd login --host {stack.url} < {key_file}")
    echo("or in one terminal:", f"  export WANDB_BASE_URL={stack.url}", f"  export WANDB_API_KEY=$(cat {key_file})")
    echo("", "Logs:", f"  {instance.server_log}", f"  {instance.agent_log}", "", "Ctrl-C to stop.")
