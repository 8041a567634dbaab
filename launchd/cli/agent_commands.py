"""`launchd drain`, `undrain`, `detach` and `reload`: requests to this host's agent."""

from pathlib import Path

import click

from launchd.cli.agent_control import drain_at_server, undrain_at_server
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options, entity_option, url_option
from launchd.cli.server_client import REMOTE_ERRORS
from launchd.cli.terminal import echo
from launchd.humanize import format_jobs, jobs_run_on


@click.command()
@click.argument("agent", required=False)
@url_option
@entity_option
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def drain(
    agent: str | None, url: str | None, entity: str | None, config_path: str | None, state_dir: Path | None
) -> None:
    """Drain the agent: it takes no more jobs, and ends when its jobs are over.

    AGENT is the id, the name or the host of an agent elsewhere, as `launchd agents` shows it: the queue server asks it,
    as `launchd agent drain` does. Without AGENT, the one of this host is meant.
    """
    if agent is not None:
        drain_at_server(agent, entity, url, state_dir)
        return
    directory = runtime_dir(config_path, state_dir)
    asked = _agent_named(directory)
    response = ask_agent(directory, command="drain")
    jobs = int(response.get("jobs") or 0)
    echo(f"{asked} takes no more jobs and ends after {format_jobs(jobs)}." if jobs else f"{asked} ends.")


@click.command()
@click.argument("agent", required=False)
@url_option
@entity_option
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def undrain(
    agent: str | None, url: str | None, entity: str | None, config_path: str | None, state_dir: Path | None
) -> None:
    """Have an agent that drains take jobs again: the one of this host, or AGENT, as `launchd agent undrain` does."""
    if agent is not None:
        undrain_at_server(agent, entity, url, state_dir)
        return
    directory = runtime_dir(config_path, state_dir)
    asked = _agent_named(directory)
    ask_agent(directory, command="undrain")
    echo(f"{asked} takes jobs.")


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def detach(config_path: str | None, state_dir: Path | None) -> None:
    """Detach the agent: it ends now, its jobs run on, and the next agent here adopts them."""
    directory = runtime_dir(config_path, state_dir)
    asked = _agent_named(directory)
    jobs = len(ask_agent(directory, command="status")["status"]["jobs"])
    ask_agent(directory, command="detach")
    echo(f"{asked} ends; {jobs_run_on(jobs)}." if jobs else f"{asked} ends.")


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def reload(config_path: str | None, state_dir: Path | None) -> None:
    """Make the agent read its configuration again; if it cannot be used, the old one stays in force."""
    directory = runtime_dir(config_path, state_dir)
    ask_agent(directory, command="reload")
    echo(f"{_agent_named(directory)} has read its configuration again.")


def _agent_named(directory: Path) -> str:
    """Return the beginning of a sentence about an agent: a host may have one of its own beside that of `launchd up`."""
    agent = ask_agent(directory, command="status")["status"]["agent"]
    return f"Agent {agent['name']} (process {agent['pid']})" if agent["name"] else f"The agent (process {agent['pid']})"
