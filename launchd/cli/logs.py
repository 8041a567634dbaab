"""`launchd logs`: prints a job's output, unchanged, or the log of its worker, made visible.

That of a job of this host is read from its files. That of any other is asked for at the queue server, which has it from
the job's agent.
"""

import codecs
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click

from ipc.job_files import OUTPUT_FILE, WORKER_LOG_FILE
from ipc.states import TERMINAL_STATES
from ipc.visible_text import visible_lines
from launchd.agent.control.client import ControlError
from launchd.agent.journal_file import JournalError
from launchd.agent.output_reader import OutputReader
from launchd.api.item_status import status_from_item
from launchd.cli import completion
from launchd.cli.errors import report_errors
from launchd.cli.job_beginning import JobBeginning
from launchd.cli.local_agent import LOCAL_ERRORS, agent_locations
from launchd.cli.local_jobs import LocalJob, fetch_job, find_local_job
from launchd.cli.options import agent_options
from launchd.cli.remote_output import RemoteOutput, follow_output, present_output
from launchd.cli.server_client import REMOTE_ERRORS, queue_server
from launchd.cli.terminal import echo
from launchd.client.credentials import ApiKeyNotFound
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import QueueServer
from launchd.config import ConfigError

#: Between two looks at the files, in seconds, and how many looks there are between two questions to the agent.
READ_SECONDS, READS_PER_QUESTION = 0.05, 4

EXAMPLES = """\b
Examples:
  launchd logs d63e3be6
  launchd logs -f d63e3be6 | grep loss
"""


@click.command(epilog=EXAMPLES)
@click.argument("item", metavar="ITEM|RUN", shell_complete=completion.items)
@click.option("-f", "--follow", is_flag=True, help="Go on printing until the job is over.")
@click.option("--worker", is_flag=True, help="Print the log of the job's worker, on the host that has it.")
@click.option("-u", "--url", help="Ask this queue server, also for a job of this host.")
@agent_options
@report_errors(*LOCAL_ERRORS, *REMOTE_ERRORS, JournalError, PermissionError)
def logs(
    item: str, follow: bool, worker: bool, url: str | None, config_path: str | None, state_dir: Path | None
) -> None:
    """Print the output of a job, named by its item, or by its run id on the host that has it, unchanged.

    For a job of another host the queue server is asked. It has the last 1 MiB of the output of a job that has ended,
    and asks the job's agent for that of one that runs, as long as you look.

    With -f, the phases of a job that has no output yet, such as the lines of a build, are told on standard error.

    A job's output may hold sequences that a terminal obeys; in the log of a worker they are shown as escapes.
    Where no agent runs here, the output of a job of this host is found by the agent's journal.
    """
    if url is not None and not worker:
        _print_remote(item, follow, url, state_dir, None)
        return
    try:
        job = find_local_job(agent_locations(config_path, state_dir), item)
    except (ControlError, ConfigError) as error:
        if worker:
            raise
        _print_remote(item, follow, url, state_dir, error)
    else:
        _print_local(job, follow, worker)


def _print_local(job: LocalJob, follow: bool, worker: bool) -> None:
    _warn_without_agent(job)
    with closing(OutputReader(job.directory / (WORKER_LOG_FILE if worker else OUTPUT_FILE))) as reader:
        copy = _copier(reader, as_text=worker)
        if copy() == 0 and not follow:
            yet = "" if job.has_ended else " yet"
            nothing = "The log of the job's worker is empty" if worker else "The job has no output"
            echo(f"{nothing}{yet} (the job {_state_phrase(job)}).", err=True)
        if follow:
            _follow(copy, job, JobBeginning())


def _print_remote(
    item: str, follow: bool, url: str | None, state_dir: Path | None, local: ControlError | ConfigError | None
) -> None:
    """Print the output of an item of the queue server; ``local`` says why it is not that of a job of this host."""
    try:
        with queue_server(url, state_dir) as server:
            found = server.find_item(item)
            if found is None:
                raise click.ClickException(_unknown(item, server.base_url, local))
            output = RemoteOutput(server, found.id)
            parts = follow_output(output, _teller(server, found.id)) if follow else present_output(output)
            written = _write_parts(parts)
    except ApiKeyNotFound as error:
        # Where no queue server is known, the answer of this host is the whole answer.
        raise local or error from None
    except QueueServerError as error:
        raise click.ClickException(f"{local} {error}" if local else str(error)) from error
    why = output.why_incomplete()
    if why is None and not written and output.last is not None:
        why = f"The job has no output{'' if output.last.has_ended else ' yet'}."
    if why is not None:
        echo(why, err=True)


def _unknown(item: str, address: str, local: ControlError | ConfigError | None) -> str:
    either = f"{local} The queue server at {address} knows no item {item} either."
    return either if local else f"The queue server at {address} knows no item {item} that you may see."


def _teller(server: QueueServer, item_id: str) -> Callable[[], None]:
    """Return a function that says what becomes of an item which has no output yet."""
    beginning = JobBeginning()

    def tell() -> None:
        item = server.item(item_id)
        if item is not None:
            now = status_from_item(item)
            beginning.show(now.status, now.message)

    return tell


def _write_parts(parts: Iterator[tuple[str | None, bytes]]) -> int:
    """Print the parts of an output, with notes; returns how many bytes it had."""
    written = 0
    for note, content in parts:
        if note is not None:
            echo(note, err=True)
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        written += len(content)
    return written


def _follow(copy: Callable[[], int], job: LocalJob, beginning: JobBeginning) -> None:
    while not job.has_ended:
        beginning.show(job.phase, job.message)
        for _ in range(READS_PER_QUESTION):
            time.sleep(READ_SECONDS)
            copy()
        # Fetched before the last read, so that all output up to the job's end is copied.
        before, job = job, fetch_job(job.location, job.item_id)
        if before.no_answer is None:
            _warn_without_agent(job)
        copy()
        if job.has_ended and job.no_answer is not None:
            echo(f"The job {_state_phrase(job)}.", err=True)


def _warn_without_agent(job: LocalJob) -> None:
    """Print that the agent did not answer, which matters to a user who examines a job that hangs."""
    if job.no_answer is not None:
        echo(f"{job.no_answer} What follows is from the job's files; the job {_state_phrase(job)}.", err=True)


def _state_phrase(job: LocalJob) -> str:
    if job.has_ended and job.phase not in TERMINAL_STATES:
        return "has ended, and the next agent here reports how"
    return f"is {job.phase}"


def _copier(reader: OutputReader, *, as_text: bool) -> Callable[[], int]:
    """Return a function that prints what is new, and returns the number of its bytes."""
    changed = _visible_pieces() if as_text else bytes

    def copy() -> int:
        copied = 0
        for chunk in reader.read():
            copied += len(chunk)
            sys.stdout.buffer.write(changed(chunk))
        sys.stdout.buffer.flush()
        return copied

    return copy


def _visible_pieces() -> Callable[[bytes], bytes]:
    """Return a function that makes the pieces of a text visible, one after the other."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    return lambda piece: visible_lines(decoder.decode(piece)).encode()
