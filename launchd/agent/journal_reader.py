"""Jobs whose agent does not answer, as its journal and their files have them.

Reads only, for the agent may live and hang, or come back at any time. Judges no job.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from ipc import job_files
from ipc.states import JobState
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import JOURNAL_FILE, JournalError, find_job
from launchd.agent.journal_schema import NewerLayout


def read_job(state_dir: Path, word: str) -> JobRecord | None:
    """Return the job of an item, run id or workload name from the journal in ``state_dir``.

    Raises:
        FileNotFoundError: no agent ever ran there.
        JournalError: it cannot be read; the message says why and what to do.
    """
    path = state_dir / JOURNAL_FILE
    try:
        path.open("rb").close()
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as db:
            return find_job(db, word)
    except NewerLayout:
        raise JournalError(f"The journal {path} was written by a newer launchd; use that one's command.") from None
    except PermissionError:
        raise JournalError(f"The journal {path} belongs to another user. Ask as that user, or as root.") from None
    except FileNotFoundError:
        raise
    except (OSError, sqlite3.Error) as error:
        raise JournalError(f"The journal {path} cannot be read: {error}.") from error


def phase(job: JobRecord, directory: Path) -> JobState:
    """Return where ``job`` stands: the journal's word, but that a start is not written at once."""
    is_starting = job.state in {JobState.SUBMITTING, JobState.STARTING}
    return JobState.RUNNING if is_starting and job_files.was_started(directory) else job.state


def has_ended(directory: Path) -> bool:
    """Return whether the job in ``directory`` ran, and nothing keeps it any more: no byte is added to its output."""
    return job_files.was_started(directory) and not job_files.is_locked(directory)
