"""The command line. Each command parses its arguments, calls one function and prints.

Owns the list of commands; the module of each is loaded when it is called, so that `launchd --help` and `launchd status`
load no more than they need.
"""

import os

import click

from ipc.proxies import direct_loopback
from launchd import __version__
from launchd.cli.lazy import LazyGroup

#: The commands by what they are for, as `launchd --help` shows them: where each is, and what it does.
GROUPS = {
    "Every day": {
        "up": ("launchd.cli.up:up", "Run a queue server and an agent on this machine."),
        "launch": ("launchd.cli.launch:launch", "Launch a directory, a git repository or a command through a queue."),
        "status": ("launchd.cli.status:status", "Show this host's agent, its jobs and its queue server."),
        "show": ("launchd.cli.show:show", "Show everything of one item."),
        "logs": ("launchd.cli.logs:logs", "Print the output of a job."),
        "stop": ("launchd.cli.stop:stop", "Stop a job, or an item that still waits in its queue."),
        "why": ("launchd.cli.why:why", "Say why a job waits, was refused or failed."),
        "retry": ("launchd.cli.retry:retry", "Push what an item ran once more."),
        "queue": ("launchd.cli.queues:queue", "Create, change, list, show, pause and delete queues."),
        "runs": ("launchd.cli.runs:runs", "List the runs of a project, or of all projects."),
        "run": ("launchd.cli.runs:run", "Show a run: config, summary, and small curves of its metrics."),
        "job": (
            "launchd.cli.jobs:job",
            "Create, list, describe and delete jobs, kept under a name at the queue server.",
        ),
        "agents": ("launchd.cli.agents:agents", "List the agents of the queue server."),
        "login": ("launchd.cli.login:login", "Store an API key for a server, where W&B's clients find it too."),
        "whoami": ("launchd.cli.login:whoami", "Show the owner of the API key, and the server."),
        "help": ("launchd.cli.help:show_help", "Show the help of a command."),
    },
    "This host": {
        "agent": (
            "launchd.cli.agent:agent",
            "Run the agent: take jobs off queues and run them here; drain or stop one elsewhere.",
        ),
        "history": ("launchd.cli.history:history", "Show what ran on this host, and what it used."),
        "gpus": ("launchd.cli.gpus:gpus", "Show this host's GPUs, who has them, and give back what is set aside."),
        "drain": ("launchd.cli.agent_commands:drain", "Drain the agent: it ends after the jobs it has."),
        "undrain": ("launchd.cli.agent_commands:undrain", "Have an agent that drains take jobs again."),
        "detach": (
            "launchd.cli.agent_commands:detach",
            "Detach the agent: it ends, its jobs run on and the next agent adopts them.",
        ),
        "reload": ("launchd.cli.agent_commands:reload", "Make the agent read its configuration again."),
        "outbox": ("launchd.cli.outbox:outbox", "Show what the queue server was not told yet, or does not take."),
        "clean": ("launchd.cli.clean:clean", "Remove what no job needs from this host's container engine."),
        "doctor": ("launchd.cli.doctor:doctor", "Examine this host, its agent and its queue server."),
        "config": ("launchd.cli.config:config", "Check the agent's configuration, and show what is in effect."),
        "metrics": ("launchd.cli.metrics:metrics", "Print the metrics of this host's agent, for Prometheus."),
    },
    "Administration of a queue server": {
        "server": ("launchd.cli.server:server", "Run the queue server alone."),
        "backup": ("launchd.cli.backup:backup", "Copy the data of a queue server while it runs."),
        "restore": ("launchd.cli.backup:restore", "Put a backup of a queue server back."),
        "key": ("launchd.cli.keys:key", "Create, list and revoke API keys."),
        "user": ("launchd.cli.users:user", "Create, list and delete users of the queue server."),
        "team": ("launchd.cli.teams:team", "Create and delete teams, and manage their members."),
        "service-account": (
            "launchd.cli.teams:service_account",
            "Create, list and delete programs that are members of a team.",
        ),
        "gc": ("launchd.cli.gc:gc", "Have the queue server remove files that nothing names any more."),
        "retention": (
            "launchd.cli.retention:retention",
            "Show or remove the runs that the queue server's rules let go.",
        ),
    },
}

COMMANDS = {name: command for commands in GROUPS.values() for name, command in commands.items()}


@click.group(
    cls=LazyGroup,
    groups=GROUPS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Start with `launchd up` in one terminal, and `launchd launch -- echo hello` in another.",
)
@click.version_option(__version__, "-V", "--version", prog_name="launchd")
def main() -> None:
    """A launch agent for hosts with GPUs, with a queue server of its own.

    It speaks the protocol of W&B Launch: set WANDB_BASE_URL and WANDB_API_KEY to use another queue server than that of
    `launchd up` on this machine.
    """
    # For all that this process and those it starts ask by libraries of others.
    os.environ.update(direct_loopback(os.environ))
