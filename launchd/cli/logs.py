"""`launchd logs`: prints a job's output from its files, unchanged."""

import sys
import time
from pathlib import Path

import click

from ipc.job_files import OUTPUT_FILE, WORKER_LOG_FILE
from ipc.states import TERMINAL_STATES
from launchd.agent.journal import JournalError
from launchd.agent.output_reader import OutputReader
from launchd.cli.errors import report_errors
from launchd.cli.local_agent import LOCAL_ERRORS, agent_locations
from launchd.cli.local_jobs import LocalJob, fetch_job, find_local_job
from launchd.cli.options import agent_options

POLL_SECONDS = 0.2

EXAMPLES = """\b
Examples:
  launchd logs d63e3be6
  launchd logs -f d63e3be6 | grep loss
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN")
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job is over.")
@click.option("--worker", is_flag=True, help="Print the log of the job's worker instead of the job's output.")
@agent_options
@report_errors(*LOCAL_ERRORS, JournalError, PermissionError)
def logs(item: str, follow: bool, worker: bool, config_path: str | None, state_dir: Path | None) -> None:
    """Print the output of a job of this host, named by its item or its run id, unchanged.

    Where no agent runs, the output is found by the agent's journal.
    """
    job = find_local_job(agent_locations(config_path, state_dir), item)
    _warn_without_agent(job)
    reader = OutputReader(job.directory / (WORKER_LOG_FILE if worker else OUTPUT_FILE))
    if _copy(reader) == 0 and not follow:
        yet = "" if job.has_ended else " yet"
        nothing = "The log of the job's worker is empty" if worker else "The job has no output"
        click.echo(f"{nothing}{yet} (the job {_state_phrase(job)}).", err=True)
    if follow:
        _follow(reader, job)


def _follow(reader: OutputReader, job: LocalJob) -> None:
    while not job.has_ended:
        time.sleep(POLL_SECONDS)
        # Fetched before the last read, so that all output up to the job's end is copied.
        before, job = job, fetch_job(job.location, job.item_id)
        if before.no_answer is None:
            _warn_without_agent(job)
        _copy(reader)
        if job.has_ended and job.no_answer is not None:
            click.echo(f"The job {_state_phrase(job)}.", err=True)


def _warn_without_agent(job: LocalJob) -> None:
    """Print that the agent did not answer, which matters to a user who examines a job that hangs."""
    if job.no_answer is not None:
        click.echo(f"{job.no_answer} What follows is from the job's files; the job {_state_phrase(job)}.", err=True)


def _state_phrase(job: LocalJob) -> str:
    if job.has_ended and job.phase not in TERMINAL_STATES:
        return "has ended, and the next agent here reports how"
    return f"is {job.phase}"


def _copy(reader: OutputReader) -> int:
    copied = 0
    for chunk in reader.read():
        copied += sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return copied
