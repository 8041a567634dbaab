"""`launchd gpus`: shows the GPUs that this host's agent gives out, and has it use again what it has set aside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ipc.sizes import format_size
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, ask_agent, runtime_dir
from launchd.cli.options import agent_options
from launchd.cli.status_view import gpu_counts, gpu_state, is_free
from launchd.cli.tables import table, terminal_width
from launchd.cli.terminal import Line, Span, echo, echo_json
from launchd.humanize import join_names, one_line

EXAMPLES = """\b
Examples:
  launchd gpus
  launchd gpus return 3
  launchd gpus return all
"""

#: What an agent of an earlier version does not say.
EARLIER = {"managed": False, "why": "it is of an earlier version.", "gpus": []}


@click.group(invoke_without_command=True, epilog=EXAMPLES)
@click.pass_context
def gpus(context: click.Context) -> None:
    """Show the GPUs that the agent gives out, who has them, and which it does not give out and why.

    Without a command: list.
    """
    if context.invoked_subcommand is None:
        context.invoke(list_all)


@gpus.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the GPUs as JSON, with all that is known of them.")
@agent_options
@report_errors(*LOCAL_ERRORS)
def list_all(as_json: bool = False, config_path: str | None = None, state_dir: Path | None = None) -> None:
    """List the GPUs."""
    found = ask_agent(runtime_dir(config_path, state_dir), command="status")["status"].get("gpus", EARLIER)
    if as_json:
        echo_json(found)
    else:
        echo(*gpu_lines(found, terminal_width()))


@gpus.command("return")
@click.argument("gpu", metavar="GPU", shell_complete=completion.gpus)
@agent_options
@report_errors(*LOCAL_ERRORS)
def return_gpu(gpu: str, config_path: str | None, state_dir: Path | None) -> None:
    """Give out again what was set aside: GPU is an index, a UUID or `all`.

    A problem that the driver still reports is put up with from then on. What is left of a job that the agent does not
    know any more counts for nothing, too.
    """
    labels: list[str] = ask_agent(runtime_dir(config_path, state_dir), command="return_gpu", gpu=gpu)["returned"]
    echo(f"Given out again: {join_names(labels)}." if labels else "None of these was set aside.")


def gpu_lines(found: Mapping[str, Any], width: int) -> list[Line]:
    """Return the whole view for a terminal of ``width`` columns."""
    if not found["managed"]:
        return [f"This agent gives out no GPUs: {found['why']}"]
    rows = [
        [
            Span(gpu["label"]),
            Span(gpu["name"]),
            Span(format_size(gpu["memory"]) if gpu["memory"] else "-"),
            Span(gpu["uuid"]),
            Span(one_line(gpu_state(gpu)), "green" if is_free(gpu) else "red" if gpu["set_aside"] else None),
        ]
        for gpu in found["gpus"]
    ]
    problem: list[Line] = [[Span(one_line(found["why"]), "red")]] if found["why"] else []
    listed = table(["GPU", "NAME", "MEMORY", "UUID", "STATE"], rows, width, "  ") if rows else []
    return [[Span(gpu_counts(found), bold=True)], *problem, *listed]
