"""Looks up a job of this host: from its agent, else from the agent's journal and the job's files."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ipc.states import TERMINAL_STATES
from launchd.agent.control.client import ControlError, NoAnswer
from launchd.agent.job_record import job_directory
from launchd.agent.journal_reader import has_ended, phase, read_job
from launchd.cli.local_agent import AgentLocation, ask_agent


class LocalJob(msgspec.Struct, frozen=True):
    """A job of this host. ``no_answer`` is the reason why its agent was not asked, ``None`` where it was.

    ``message`` is what is being done, which the agent alone knows.
    """

    location: AgentLocation
    item_id: str
    phase: str
    directory: Path
    has_ended: bool
    no_answer: str | None = None
    message: str | None = None


def find_local_job(locations: Sequence[AgentLocation], name: str) -> LocalJob:
    """Return the job with this item id, run id or workload name from the first of ``locations`` that has it.

    Raises:
        ControlError: none of them has it. `JournalError`: a journal cannot be read.
    """
    errors: list[ControlError] = []
    for location in locations:
        try:
            return fetch_job(location, name)
        except ControlError as error:
            errors.append(error)
    # An answer that there is no such job says more than no answer.
    raise min(errors, key=lambda error: type(error) is NoAnswer)


def fetch_job(location: AgentLocation, name: str) -> LocalJob:
    """Return the present state of a job; raises as :func:`find_local_job` does."""
    try:
        job = ask_agent(location.runtime_dir, command="job", item=name)["job"]
    except NoAnswer as error:
        return _job_from_journal(location, name, error)
    has_ended = job["phase"] in TERMINAL_STATES
    directory = Path(job["directory"])
    return LocalJob(location, job["item_id"], job["phase"], directory, has_ended, message=job["message"])


def _job_from_journal(location: AgentLocation, name: str, no_answer: NoAnswer) -> LocalJob:
    try:
        job = read_job(location.state_dir, name)
    except FileNotFoundError:
        raise no_answer from None
    if job is None:
        raise ControlError(f"{no_answer} The journal in {location.state_dir} knows no job {name}.")
    directory = Path(job_directory(location.state_dir, job.name))
    is_over = job.is_over or has_ended(directory)
    return LocalJob(location, job.item_id, phase(job, directory), directory, is_over, str(no_answer))
