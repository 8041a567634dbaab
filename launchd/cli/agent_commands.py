"""`launchd drain`, `undrain`, `detach` and `reload`: requests to this host's agent."""

from collections.abc import Iterable
from pathlib import Path

import click

from launchd.cli.agents import agent_status
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options, entity_option
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, resolve_entity
from launchd.cli.terminal import echo
from launchd.client.errors import Refused
from launchd.client.queue_server import Agent
from launchd.humanize import format_jobs, jobs_run_on


@click.command()
@click.argument("agent", required=False)
@click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")
@entity_option
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS)
def drain(
    agent: str | None, url: str | None, entity: str | None, config_path: str | None, state_dir: Path | None
) -> None:
    """Drain the agent: it takes no more jobs, and ends when its jobs are over.

    AGENT is the id, the name or the host of an agent elsewhere, as `launchd agents` shows it: the queue server asks it.
    Without AGENT, the one of this host is meant.
    """
    if agent is not None:
        _drain_at_server(agent, url, entity, state_dir)
        return
    response = ask_agent(runtime_dir(config_path, state_dir), command="drain")
    jobs = int(response.get("jobs") or 0)
    echo(f"The agent takes no more jobs and ends after {format_jobs(jobs)}." if jobs else "The agent ends.")


def _drain_at_server(word: str, url: str | None, entity: str | None, state_dir: Path | None) -> None:
    with queue_server(url, state_dir) as server:
        found = _agent_named(server.agents(resolve_entity(server, entity)), word)
        server.stop_agent(found.id)
    echo(f"Agent {found.name} on host {found.hostname or '-'} is asked to drain: it ends when its jobs are over.")


def _agent_named(agents: Iterable[Agent], word: str) -> Agent:
    """Return the living agent with this id, the beginning of it, this name or this host.

    Raises:
        Refused: there is none, or there are several.
    """
    living = [agent for agent in agents if agent_status(agent) not in ("Killed", "Lost")]
    found = [agent for agent in living if agent.id.startswith(word) or word in (agent.name, agent.hostname)]
    if len(found) != 1:
        many = f"There are several agents {word!r}: name one by its id, which `launchd agents` shows."
        raise Refused(many if found else f"There is no living agent {word!r}. See them with: launchd agents")
    return found[0]


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
