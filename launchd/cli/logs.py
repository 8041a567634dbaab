"""`launchd logs`: a job's output from its files, bytes as they are."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from ipc.states import TERMINAL_STATES
from launchd.cli.failures import told
from launchd.cli.local import LOCAL_ERRORS, agent_options, question, runtime_dir
from launchd.control_client import ControlError
from launchd.output import OutputReader

POLL_SECONDS = 0.2
WORKER_LOG = "worker.log"

EXAMPLES = """\b
Examples:
  launchd logs d63e3be6
  launchd logs -f d63e3be6 | grep loss
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job is over.")
@click.option("--worker", is_flag=True, help="What the job's worker has to say, instead of the job's output.")
@agent_options
@told(*LOCAL_ERRORS, PermissionError)
def logs(item: str, follow: bool, worker: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Print the output of a job of this host, named by its item or its run id. Nothing in it is changed."""
    directory = runtime_dir(config_path, state_dir)
    job = question(directory, command="job", item=item)["job"]
    output = Path(job["directory"]) / WORKER_LOG if worker else Path(job["log_path"])
    reader = OutputReader(output)
    if _copy(reader) == 0 and not follow:
        yet = "" if job["phase"] in TERMINAL_STATES else " yet"
        nothing = "The job's worker had nothing to say" if worker else "The job has no output"
        click.echo(f"{nothing}{yet} (the job is {job['phase']}).", err=True)
    if follow:
        _follow(reader, directory, job)


def _follow(reader: OutputReader, directory: Path, job: dict[str, Any]) -> None:
    phase, item = job["phase"], job["item_id"]
    while phase not in TERMINAL_STATES:
        time.sleep(POLL_SECONDS)
        # Asked before the last read: what a job wrote before its end is there when it is over.
        phase = _phase(directory, item, phase)
        _copy(reader)


def _phase(directory: Path, item: str, before: str) -> str:
    """Return the job's phase; as before while no agent answers: jobs outlive agents, and so does their output."""
    try:
        return str(question(directory, command="job", item=item)["job"]["phase"])
    except ControlError:
        return before


def _copy(reader: OutputReader) -> int:
    copied = 0
    for chunk in reader.read():
        copied += sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return copied
