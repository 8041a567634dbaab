"""Jobs whose agent does not answer, as its journal and their files have them.

Reads only, for the agent may live and hang, or come back at any time. Judges no job.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from ipc import job_files
from ipc.states import JobState
from launchd.agent.job_history import HistoryEntry
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import JOURNAL_FILE
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_queries import active_records, ended_ids, find_job, history
from launchd.agent.journal_schema import NewerLayout

T = TypeVar("T")


def read_job(state_dir: Path, word: str) -> JobRecord | None:
    """Return the job of an item, run id or workload name from the journal in ``state_dir``.

    Raises:
        FileNotFoundError: no agent ever ran there.
        JournalError: it cannot be read; the message says why and what to do.
    """
    path = state_dir / JOURNAL_FILE
    with _opened(path) as db:
        return find_job(db, word)


def _read(state_dir: Path, read: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
    try:
        with _opened(state_dir / JOURNAL_FILE) as db:
            return read(db)
    except FileNotFoundError:
        return []


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal to be read; raises as :func:`read_job` does."""
    try:
        path.open("rb").close()
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as db:
            yield db
    except NewerLayout as error:
        raise JournalError(f"The journal {path} was written by {error.writer}; use that one's command.") from None
    except PermissionError:
        raise JournalError(f"The journal {path} belongs to another user. Ask as that user, or as root.") from None
    except FileNotFoundError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"The journal {path} cannot be read: {error}.") from error


def active_jobs(state_dir: Path) -> list[JobRecord]:
    """Return the jobs that are not over; none where no agent ever ran. Raises :class:`JournalError`."""
    return _read(state_dir, active_records)


def read_history(state_dir: Path, since: float) -> list[HistoryEntry]:
    """Return what ended at ``since`` (seconds since the epoch) or later, the latest first, from the journal there.

    Raises:
        FileNotFoundError: no agent ever ran there.
        JournalError: it cannot be read; the message says why and what to do.
    """
    with _opened(state_dir / JOURNAL_FILE) as db:
        return list(history(db, since))


def ended_workloads(state_dir: Path, runner: str) -> list[str]:
    """Return the ids in the handles of ``runner`` of jobs that are over, as far as they are kept.

    Raises:
        JournalError: the journal cannot be read; the message says why and what to do.
    """
    return _read(state_dir, lambda db: ended_ids(db, runner))


def phase(job: JobRecord, directory: Path) -> JobState:
    """Return where ``job`` stands: the journal's word, but that a start is not written at once."""
    is_starting = job.state in {JobState.SUBMITTING, JobState.STARTING}
    return JobState.RUNNING if is_starting and job_files.was_started(directory) else job.state


def has_ended(directory: Path) -> bool:
    """Return whether the job in ``directory`` ran, and nothing keeps it any more: no byte is added to its output."""
    return job_files.was_started(directory) and not job_files.is_locked(directory)
