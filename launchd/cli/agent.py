"""`launchd agent`: reads the configuration, finds server and key, configures the log, and runs the supervisor.

Below it are the commands for agents elsewhere, of `launchd.cli.agent_control`.
"""

import logging
import os
import sys
from collections.abc import Callable

import click
import msgspec
from click.core import ParameterSource

import ipc.lean_imports  # noqa: F401 - before requests
from launchd.agent.errors import CannotStart
from launchd.agent.main import run
from launchd.cli import completion
from launchd.cli.errors import Misconfigured, report_errors
from launchd.cli.lazy import LazyGroup
from launchd.client.credentials import ApiKeyFileError, ApiKeyNotFound, ApiKeyUnusable, find_api_key, find_base_url
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer
from launchd.config import ConfigError, Flags, LoadedConfig, check_job_users, load
from launchd.daemon import logging as logs

log = logging.getLogger(__name__)

EXAMPLES = """\b
Examples:
  launchd agent -q default -j 4
  launchd agent -c /etc/launch-agent/launch-config.yaml -l -
"""


#: What may be asked of an agent elsewhere; `resume` is the word of other schedulers.
ELSEWHERE = {
    "Agents elsewhere": {
        "drain": ("launchd.cli.agent_control:drain", "Drain an agent elsewhere: it ends after the jobs it has."),
        "undrain": ("launchd.cli.agent_control:undrain", "Have an agent elsewhere that drains take jobs again."),
        "resume": ("launchd.cli.agent_control:undrain", "The same as undrain."),
        "stop": ("launchd.cli.agent_control:stop", "Stop an agent elsewhere, and all its jobs."),
    }
}


@click.group(cls=LazyGroup, groups=ELSEWHERE, invoke_without_command=True, epilog=EXAMPLES)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    help="Queue to take jobs from; may be given several times.",
    shell_complete=completion.queues,
)
@click.option("-e", "--entity", help="Owner of the queues [default: that of the API key].")
@click.option("-j", "--max-jobs", type=int, help="Jobs at a time; -1 for no limit [default: 1].")
@click.option("-c", "--config", "config_path", metavar="FILE", help="Configuration file (launch-config.yaml).")
@click.option("-l", "--log-file", metavar="FILE", help="File of the log; - for standard output [default: stderr].")
@click.option("-v", "--verbose", "verbosity", count=True, help="Log more; twice for even more.")
@click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, then the configuration].")
@click.pass_context
@report_errors(CannotStart, QueueServerError)
@report_errors(ConfigError, ApiKeyFileError, ApiKeyNotFound, ApiKeyUnusable, end=Misconfigured)
def agent(
    context: click.Context,
    queues: tuple[str, ...],
    entity: str | None,
    max_jobs: int | None,
    config_path: str | None,
    log_file: str | None,
    verbosity: int,
    url: str | None,
) -> None:
    """Take jobs off queues and run them on this host, until a signal or a command ends the agent.

    Flags and configuration file are those of `wandb launch-agent`. The server's address and the API key come from
    WANDB_BASE_URL and WANDB_API_KEY, from the configuration, or from the files of `wandb login`.

    SIGTERM ends the agent: its jobs run on, and the next agent adopts them. SIGHUP makes it read the configuration
    again.

    With a COMMAND, no agent runs here: the queue server asks one that runs elsewhere.
    """
    if context.invoked_subcommand is not None:
        _check_no_options(context, context.invoked_subcommand)
        return
    flags = Flags(queues=queues, entity=entity, max_jobs=max_jobs, verbosity=verbosity)
    reload = _loader(config_path, flags)
    loaded = reload()
    config = loaded.config
    _open_log(loaded, log_file)
    log.info("The configuration was read.", extra={"origins": loaded.given})
    base_url = url or find_base_url(os.environ, config.launchd.base_url).url
    api_key = find_api_key(base_url, os.environ, config.launchd.api_key_file)
    for warning in loaded.warnings:
        log.warning("The configuration has a questionable setting.", extra={"warning": warning})
    sys.exit(run(loaded, lambda: QueueServer(base_url.rstrip("/"), api_key.key), api_key.key, reload))


def _check_no_options(context: click.Context, command: str) -> None:
    if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
        raise click.UsageError(f"These options are for running an agent: put those of `{command}` behind it.")


def _loader(path: str | None, flags: Flags) -> Callable[[], LoadedConfig]:
    environ = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}

    def read() -> LoadedConfig:
        loaded = load(path, environ, flags)
        warnings = check_job_users(loaded.config, os.geteuid())
        return msgspec.structs.replace(loaded, warnings=(*loaded.warnings, *warnings))

    return read


def _open_log(loaded: LoadedConfig, log_file: str | None) -> None:
    try:
        logs.set_up(loaded.config.launchd.log_format, loaded.config.verbosity, log_file)
    except OSError as error:
        raise click.ClickException(f"The log file {log_file} cannot be opened: {error.strerror}.") from error
