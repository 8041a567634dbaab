"""One job of this host, as its agent tells it; where none answers, as the agent's journal and the job's files do."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ipc.states import TERMINAL_STATES
from launchd.agent.control.client import ControlError, NoAnswer
from launchd.agent.job_record import job_directory
from launchd.agent.journal_reader import has_ended, phase, read_job
from launchd.cli.local_agent import AgentLocation, ask_agent


class LocalJob(msgspec.Struct, frozen=True):
    """A job. ``silence`` says why its agent could not be asked, ``None`` where it was."""

    location: AgentLocation
    item_id: str
    phase: str
    directory: Path
    has_ended: bool
    no_answer: str | None = None


def find_local_job(places: Sequence[AgentLocation], word: str) -> LocalJob:
    """Return the job of an item, run id or workload name at the first of ``places`` that knows it.

    Raises:
        ControlError: none of them does. `JournalError`: it cannot be looked up.
    """
    refusals: list[ControlError] = []
    for place in places:
        try:
            return fetch_job(place, word)
        except ControlError as refusal:
            refusals.append(refusal)
    # That nobody is here says less than that somebody knows no such job.
    raise min(refusals, key=lambda refusal: type(refusal) is NoAnswer)


def fetch_job(place: AgentLocation, word: str) -> LocalJob:
    """Return how a job is now; raises as :func:`find_local_job` does."""
    try:
        job = ask_agent(place.runtime_dir, command="job", item=word)["job"]
    except NoAnswer as silence:
        return _job_from_journal(place, word, silence)
    return LocalJob(place, job["item_id"], job["phase"], Path(job["directory"]), job["phase"] in TERMINAL_STATES)


def _job_from_journal(place: AgentLocation, word: str, silence: NoAnswer) -> LocalJob:
    try:
        job = read_job(place.state_dir, word)
    except FileNotFoundError:
        raise silence from None
    if job is None:
        raise ControlError(f"{silence} The journal in {place.state_dir} knows no job {word}.")
    directory = Path(job_directory(place.state_dir, job.name))
    is_over = job.is_over or has_ended(directory)
    return LocalJob(place, job.item_id, phase(job, directory), directory, is_over, str(silence))
