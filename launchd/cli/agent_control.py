"""`launchd agent drain`, `undrain` and `stop`: requests to an agent anywhere, which the queue server passes on."""

from collections.abc import Iterable
from pathlib import Path

import click

from launchd.cli.agents import agent_status
from launchd.cli.errors import report_errors
from launchd.cli.options import entity_option, server_options
from launchd.cli.server_client import REMOTE_ERRORS, queue_server, resolve_entity
from launchd.cli.terminal import confirm, echo
from launchd.client.errors import Refused
from launchd.client.queue_server import Agent
from launchd.humanize import format_jobs

DEFAULT_REASON = "its agent was stopped from the command line"

#: Statuses of agents that hear nothing any more.
_GONE = ("Killed", "Lost")


@click.command(epilog="\b\nExample:\n  launchd agent drain gpu-7")
@click.argument("agent")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def drain(agent: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Drain an agent elsewhere: it takes no more jobs, and ends when its jobs are over.

    AGENT is its id, the beginning of that, its name or its host, as `launchd agents` shows them. Admins of its entity
    may do so, and the user who registered it. An agent of W&B hears it too.
    """
    drain_at_server(agent, entity, url, state_dir)


@click.command()
@click.argument("agent")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def undrain(agent: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Have an agent elsewhere that drains, and still has jobs, take jobs again.

    AGENT is named as for `launchd agent drain`; what was drained on its own host is undrained there.
    """
    undrain_at_server(agent, entity, url, state_dir)


@click.command(epilog='\b\nExample:\n  launchd agent stop gpu-7 --reason "the host is taken down"')
@click.argument("agent")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Reason that is reported to the submitters.")
@entity_option
@server_options
@report_errors(*REMOTE_ERRORS)
def stop(agent: str, yes: bool, reason: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Stop an agent elsewhere: all its jobs are stopped, with a reason, and it ends after them.

    AGENT is named as for `launchd agent drain`. Where its jobs are to run to their end, drain it.
    """
    with queue_server(url, state_dir) as server:
        found = agent_named(server.agents(resolve_entity(server, entity)), agent)
        if not yes:
            confirm(f"Stop agent {_shown(found)} and all its jobs?")
        stopped = server.stop_agent_and_items(found.id, reason)
    echo(
        f"Agent {_shown(found)} is asked to end, after {format_jobs(len(stopped))} that {_verb(len(stopped))} stopped."
    )


def drain_at_server(word: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Have the queue server ask the agent that ``word`` names to drain, and say so."""
    with queue_server(url, state_dir) as server:
        found = agent_named(server.agents(resolve_entity(server, entity)), word)
        server.stop_agent(found.id)
    echo(f"Agent {_shown(found)} is asked to drain: it ends when its jobs are over.")


def undrain_at_server(word: str, entity: str | None, url: str | None, state_dir: Path | None) -> None:
    """Have the queue server take back that the agent that ``word`` names is to drain, and say so."""
    with queue_server(url, state_dir) as server:
        found = agent_named(server.agents(resolve_entity(server, entity)), word)
        server.undrain_agent(found.id)
    echo(f"Agent {_shown(found)} is asked to take jobs.")


def agent_named(agents: Iterable[Agent], word: str) -> Agent:
    """Return the living agent with this id, the beginning of it, this name or this host.

    Raises:
        Refused: there is none, or there are several.
    """
    living = [agent for agent in agents if agent_status(agent) not in _GONE]
    found = [agent for agent in living if agent.id.startswith(word) or word in (agent.name, agent.hostname)]
    if len(found) != 1:
        many = f"There are several agents {word!r}: name one by its id, which `launchd agents` shows."
        raise Refused(many if found else f"There is no living agent {word!r}. See them with: launchd agents")
    return found[0]


def _shown(agent: Agent) -> str:
    return f"{agent.name} on host {agent.hostname or '-'}"


def _verb(number: int) -> str:
    return "is" if number == 1 else "are"
