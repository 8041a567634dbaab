"""The agent's jobs on disk, with their history.

What is written, when, and what depends on it is the file's: :class:`~launchd.agent.journal_file.JournalFile`. A record
that cannot be read costs no other one: it is set aside.
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ipc.handles import attempt_names
from launchd.agent.job_history import HistoryEntry
from launchd.agent.job_record import JobRecord
from launchd.agent.journal_file import JournalError, JournalFile
from launchd.agent.journal_queries import decode_record, find_job

_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_SAVE_JOB = """
INSERT INTO jobs VALUES (?, ?, ?, ?)
ON CONFLICT (item_id) DO UPDATE SET
    number = CASE WHEN excluded.over > over THEN excluded.number ELSE number END,
    over = excluded.over,
    record = excluded.record
"""

#: Not whole records: what many of them take is memory that the process keeps.
_ENDED = """
SELECT item_id, json_extract(record, '$.name'), json_extract(record, '$.attempt'), json_extract(record, '$.user'),
    json_extract(record, '$.fetch_user')
FROM jobs WHERE over = 1 AND CASE WHEN json_valid(record) THEN json_type(record, '$.name') = 'text' END
"""
_ENDED_BEFORE_LAST = f"{_ENDED} ORDER BY number DESC LIMIT ? OFFSET ?"
#: Against the last one: a step of the clock changes nothing for those that ended before it.
_LAST_END = "SELECT max(json_extract(record, '$.state_at')) FROM jobs WHERE over = 1 AND json_valid(record)"
_ENDED_LONG_AGO = f"{_ENDED} AND json_extract(record, '$.state_at') < ({_LAST_END}) - ? ORDER BY number LIMIT ?"

_USER_NUMBERS = """
SELECT json_extract(record, '$.user'), json_extract(record, '$.fetch_user')
FROM (SELECT record FROM jobs UNION ALL SELECT record FROM unreadable_jobs) WHERE json_valid(record)
"""

_SET_ASIDE = "INSERT OR REPLACE INTO unreadable_jobs SELECT item_id, record, ? FROM jobs WHERE item_id = ?"

_ADD_TO_HISTORY = "INSERT INTO history (ended_at, record) VALUES (?, ?)"

#: Ages are counted from the last entry: a clock that jumps ahead makes nothing old.
_REMOVE_OLD_HISTORY = """
DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?1 OR ended_at < (
    SELECT ended_at FROM history ORDER BY number DESC LIMIT 1
) - ?2
"""

#: The journal's name in the state directory.
JOURNAL_FILE = "journal.sqlite"

log = logging.getLogger(__name__)


class UnreadableRecord(Exception):
    """A job's record is not written, for it could not be read again; the message says why."""


class EndedJob(msgspec.Struct, frozen=True):
    """A job that is over: the workload names of its attempts, and the numbers of the users that belong to it."""

    item_id: str
    names: tuple[str, ...]
    users: tuple[int, ...]


class Journal(JournalFile):
    """One supervisor's journal. Not thread-safe: the supervisor's main thread owns it."""

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, making it if it is missing.

        Raises:
            JournalError: another agent uses it, it is of a newer version, or the disk refuses.
        """
        super().__init__(path)
        #: The jobs among the pending changes as they will be, None for one that is to be forgotten.
        self._pending_jobs: dict[str, JobRecord | None] = {}
        try:
            self._next_number = (self.rows("SELECT max(number) FROM jobs")[0][0] or 0) + 1
        except JournalError:
            self.close()
            raise

    # -- reading

    def meta(self, key: str) -> str | None:
        """Return what is kept under ``key``."""
        rows = self.rows("SELECT value FROM meta WHERE key = ?", key)
        return str(rows[0][0]) if rows else None

    def active_jobs(self) -> list[JobRecord]:
        """Return the jobs that are not over, in the order of their claims."""
        return self._jobs("SELECT item_id, record FROM jobs WHERE over = 0 ORDER BY number")

    def job(self, item_id: str) -> JobRecord | None:
        """Return the job of an item, over or not, as it was last saved: it may not be on disk yet."""
        if item_id in self._pending_jobs:
            return self._pending_jobs[item_id]
        return next(iter(self._jobs("SELECT item_id, record FROM jobs WHERE item_id = ?", item_id)), None)

    def find(self, word: str) -> JobRecord | None:
        """Return the job with this item id, run id or workload name, over or not."""
        with self._reading():
            return find_job(self._db, word)

    def ended_jobs(self, limit: int) -> list[JobRecord]:
        """Return the ``limit`` jobs that ended last, the latest first."""
        return self._jobs("SELECT item_id, record FROM jobs WHERE over = 1 ORDER BY number DESC LIMIT ?", limit)

    def ended_before_last(self, keep: int, limit: int) -> list[EndedJob]:
        """Return at most ``limit`` jobs that are over, without the ``keep`` that ended last."""
        return [_ended_job(*row) for row in self.rows(_ENDED_BEFORE_LAST, limit, keep)]

    def ended_long_before_last(self, seconds: float, limit: int) -> list[EndedJob]:
        """Return at most ``limit`` jobs that ended more than ``seconds`` before the one that ended last."""
        return [_ended_job(*row) for row in self.rows(_ENDED_LONG_AGO, seconds, limit)]

    def user_numbers(self) -> set[int]:
        """Return the numbers of the users of all jobs, over or not, also of those whose records were set aside."""
        return {number for row in self.rows(_USER_NUMBERS) for number in _given(row)}

    def unreadable_jobs(self) -> list[str]:
        """Return the items whose records could not be read and were set aside."""
        return [item_id for (item_id,) in self.rows("SELECT item_id FROM unreadable_jobs ORDER BY item_id")]

    def _jobs(self, query: str, *values: object) -> list[JobRecord]:
        """Return the jobs of a query for item ids and records; a record that cannot be read is set aside."""
        jobs = []
        for item_id, record in self.rows(query, *values):
            try:
                jobs.append(decode_record(record))
            except (msgspec.DecodeError, TypeError) as error:
                self._set_aside(str(item_id), str(error))
        return jobs

    def _set_aside(self, item_id: str, reason: str) -> None:
        log.error(
            "The journal's record of a job cannot be read; it is set aside.", extra={"item": item_id, "why": reason}
        )
        self.change(_SET_ASIDE, reason, item_id)
        self.forget(item_id)

    # -- writing, collected until commit()

    def set_meta(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``."""
        self.change(_SET_META, key, value)

    def save(self, job: JobRecord) -> None:
        """Keep ``job`` as it is now.

        Raises:
            UnreadableRecord: it could not be read again.
        """
        self.change(_SAVE_JOB, job.item_id, job.is_over, self._next_number, _readable_record(job))
        self._next_number += 1
        self._pending_jobs[job.item_id] = job

    def add_to_history(self, entry: HistoryEntry) -> None:
        """Keep that a job ended, also when the job itself is forgotten."""
        self.change(_ADD_TO_HISTORY, entry.ended_at, msgspec.json.encode(entry).decode())

    def trim_history(self, keep: int, keep_seconds: float) -> None:
        """Forget all but the last ``keep`` entries of the history, and those so much older than its last one."""
        self.change(_REMOVE_OLD_HISTORY, keep, keep_seconds)

    def forget(self, item_id: str) -> None:
        """Forget the job of an item."""
        self.change("DELETE FROM jobs WHERE item_id = ?", item_id)
        self._pending_jobs[item_id] = None

    def _on_written(self) -> None:
        self._pending_jobs.clear()


def _ended_job(item: str, name: str, attempt: int, *numbers: object) -> EndedJob:
    return EndedJob(item, attempt_names(name, attempt), _given(numbers))


def _given(numbers: Iterable[object]) -> tuple[int, ...]:
    # A record of another version may hold anything.
    return tuple(number for number in numbers if type(number) is int)


def _readable_record(job: JobRecord) -> str:
    """Return the record of ``job`` as it is kept; raises :class:`UnreadableRecord` for one that its reader refuses."""
    try:
        record = msgspec.json.encode(job)
        decode_record(record)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableRecord(f"The record of the job could not be read again: {error}") from error
    return record.decode()
