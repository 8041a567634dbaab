"""`launchd drain`, `undrain`, `detach` and `reload`: requests to this host's agent."""

from pathlib import Path

import click

from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.terminal import echo
from launchd.humanize import format_jobs, jobs_run_on


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def drain(config_path: str | None, state_dir: Path | None) -> None:
    """Drain the agent: it takes no more jobs, and ends when its jobs are over."""
    response = ask_agent(runtime_dir(config_path, state_dir), command="drain")
    jobs = int(response.get("jobs") or 0)
    echo(f"The agent takes no more jobs and ends after {format_jobs(jobs)}." if jobs else "The agent ends.")


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def undrain(config_path: str | None, state_dir: Path | None) -> None:
    """Have an agent that drains take jobs again."""
    ask_agent(runtime_dir(config_path, state_dir), command="undrain")
    echo("The agent takes jobs.")


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def detach(config_path: str | None, state_dir: Path | None) -> None:
    """Detach the agent: it ends now, its jobs run on, and the next agent here adopts them."""
    directory = runtime_dir(config_path, state_dir)
    jobs = len(ask_agent(directory, command="status")["status"]["jobs"])
    ask_agent(directory, command="detach")
    echo(f"The agent ends; {jobs_run_on(jobs)}." if jobs else "The agent ends.")


@click.command()
@agent_options
@report_errors(*LOCAL_ERRORS)
def reload(config_path: str | None, state_dir: Path | None) -> None:
    """Make the agent read its configuration again; if it cannot be used, the old one stays in force."""
    ask_agent(runtime_dir(config_path, state_dir), command="reload")
    echo("The agent has read its configuration again.")
