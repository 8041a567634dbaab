"""The agent's jobs on disk: SQLite with full sync.

Changes are collected and written by one :meth:`Journal.commit`, so that an iteration of the supervisor's loop costs one
sync; what depends on a change is a hook that runs after that commit. A full disk has room reserved for the journal. A
record that cannot be read costs no other one: it is set aside.
"""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ipc.directories import make_passable
from ipc.handles import attempt_names
from launchd.agent.disk_reserve import DiskReserve
from launchd.agent.job_history import HistoryEntry
from launchd.agent.job_record import JobRecord
from launchd.agent.journal_schema import NewerLayout, has_history, layout_of, open_journal

_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_SAVE_JOB = """
INSERT INTO jobs VALUES (?, ?, ?, ?)
ON CONFLICT (item_id) DO UPDATE SET
    number = CASE WHEN excluded.over > over THEN excluded.number ELSE number END,
    over = excluded.over,
    record = excluded.record
"""

#: The job with this item id, run id or workload name; of several with one run id, one that is not over, or the last.
_FIND_JOB = """
SELECT record FROM jobs
WHERE item_id = ?1 OR CASE WHEN json_valid(record)
    THEN json_extract(record, '$.name') = ?1 OR json_extract(record, '$.spec.run_id') = ?1 END
ORDER BY over, {order} DESC LIMIT 1
"""
_ORDER_BY_LAYOUT = {1: "CASE WHEN json_valid(record) THEN json_extract(record, '$.claimed_at') END"}
_ORDER = "number"

_ENDED_IDS = """
SELECT json_extract(record, '$.handle.data.id') FROM jobs
WHERE over = 1 AND CASE WHEN json_valid(record) THEN json_extract(record, '$.handle.runner') = ? END
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

_ADD_DELIVERY = "INSERT INTO outbox (id, item_id, agent_id, kind, body, created_at) VALUES (?, ?, ?, ?, ?, ?)"
_DELIVERIES = "SELECT id, item_id, agent_id, kind, body, created_at FROM outbox WHERE refused_at IS NULL ORDER BY id"
_REFUSED_DELIVERIES = """
SELECT id, item_id, agent_id, kind, body, created_at, refused_at, reason
FROM outbox WHERE refused_at IS NOT NULL ORDER BY id
"""

#: An outcome that the server has makes those that it refused before meaningless.
_REMOVE_REFUSED_BEFORE = """
DELETE FROM outbox WHERE refused_at IS NOT NULL AND kind = 'outcome'
AND item_id = (SELECT item_id FROM outbox WHERE id = ? AND kind = 'outcome')
"""
_REMOVE_DELIVERY = "DELETE FROM outbox WHERE id = ?"

#: A refused outcome with a later one of the same item: that one counts.
_REMOVE_SUPERSEDED = """
DELETE FROM outbox WHERE id = ? AND kind = 'outcome' AND EXISTS (
    SELECT 1 FROM outbox AS later
    WHERE later.item_id = outbox.item_id AND later.kind = 'outcome' AND later.id > outbox.id
)
"""
_REFUSED_OUTCOMES = """
SELECT id FROM outbox WHERE refused_at IS NOT NULL AND kind = 'outcome' AND item_id = ?
AND CASE WHEN json_valid(body) THEN json_extract(body, '$.report.lease') = ? END
"""
_SET_REFUSED = "UPDATE outbox SET refused_at = ?, reason = ? WHERE id = ?"

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

#: How often room is reserved again, in seconds; not at once, for it would be taken from what is being written.
RESERVE_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)

_record_decoder = msgspec.json.Decoder(JobRecord)
_entry_decoder = msgspec.json.Decoder(HistoryEntry)
_encode = msgspec.json.encode


class JournalError(Exception):
    """The journal cannot be opened, read or written; the message says why and what to do."""


class UnreadableRecord(Exception):
    """A job's record is not written, for it could not be read again; the message says why."""


class Delivery(msgspec.Struct, frozen=True):
    """Something the queue server has to be told, until it has been: a row of the outbox.

    ``kind`` is ``outcome`` (the item's end), ``warning`` or ``requeue``; ``body`` its content as JSON.
    """

    id: int
    item_id: str
    agent_id: str
    kind: str
    body: str
    created_at: float


class EndedJob(msgspec.Struct, frozen=True):
    """A job that is over: the workload names of its attempts, and the numbers of the users that belong to it."""

    item_id: str
    names: tuple[str, ...]
    users: tuple[int, ...]


class RefusedDelivery(msgspec.Struct, frozen=True):
    """A row of the outbox that the queue server refused for ``reason``; it is sent again when that is asked for."""

    delivery: Delivery
    refused_at: float
    reason: str


class Journal:
    """One supervisor's journal. Not thread-safe: the supervisor's main thread owns it.

    Every method that reads or writes raises :class:`JournalError` where the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, making it if it is missing.

        Raises:
            JournalError: another agent uses it, it is of a newer version, or the disk refuses.
        """
        self.path = path
        self._lock = _lock_beside(path)
        self._reserve = DiskReserve(path.with_suffix(".reserve"))
        self._reserve_at = 0.0
        #: Why there is no room reserved for the journal, as a sentence.
        self.shortage: str | None = None
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        #: The jobs among the pending changes as they will be, None for one that is to be forgotten.
        self._pending_jobs: dict[str, JobRecord | None] = {}
        self._hooks: list[Callable[[], None]] = []
        self._commit_requested = False
        try:
            self._db = self._open()
        except (sqlite3.Error, NewerLayout) as error:
            os.close(self._lock)
            raise self._unusable(error) from error
        try:
            self._next_delivery = self._highest("SELECT max(id) FROM outbox") + 1
            self._next_number = self._highest("SELECT max(number) FROM jobs") + 1
        except sqlite3.Error as error:
            self.close()
            raise self._unusable(error) from error
        self.reserve_room()

    def _unusable(self, error: Exception) -> JournalError:
        return JournalError(f"The journal {self.path} cannot be used: {error}.")

    def _open(self) -> sqlite3.Connection:
        try:
            return open_journal(self.path)
        except sqlite3.Error:
            # A full disk has no room even for the file by which SQLite's processes agree.
            if not self._reserve.release():
                raise
            return open_journal(self.path)

    def close(self) -> None:
        """Close the file and let another agent have it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        os.close(self._lock)

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

    def ended_before_last(self, keep: int, limit: int) -> list["EndedJob"]:
        """Return at most ``limit`` jobs that are over, without the ``keep`` that ended last."""
        return [_ended_job(*row) for row in self.rows(_ENDED_BEFORE_LAST, limit, keep)]

    def ended_long_before_last(self, seconds: float, limit: int) -> list["EndedJob"]:
        """Return at most ``limit`` jobs that ended more than ``seconds`` before the one that ended last."""
        return [_ended_job(*row) for row in self.rows(_ENDED_LONG_AGO, seconds, limit)]

    def user_numbers(self) -> set[int]:
        """Return the numbers of the users of all jobs, over or not, also of those whose records were set aside."""
        return {number for row in self.rows(_USER_NUMBERS) for number in _given(row)}

    def unreadable_jobs(self) -> list[str]:
        """Return the items whose records could not be read and were set aside."""
        return [item_id for (item_id,) in self.rows("SELECT item_id FROM unreadable_jobs ORDER BY item_id")]

    def deliveries(self) -> list[Delivery]:
        """Return what the queue server still has to be told, the oldest first; without what it refused."""
        rows = self.rows(_DELIVERIES)
        return [Delivery(*row) for row in rows]

    def refused_deliveries(self) -> list[RefusedDelivery]:
        """Return what the queue server refused, the oldest first."""
        rows = self.rows(_REFUSED_DELIVERIES)
        return [RefusedDelivery(Delivery(*row[:-2]), *row[-2:]) for row in rows]

    def refused_outcomes(self, item_id: str, lease: int) -> list[int]:
        """Return the ids of the refused rows that are outcomes of this lease of an item."""
        return [row_id for (row_id,) in self.rows(_REFUSED_OUTCOMES, item_id, lease)]

    def _jobs(self, query: str, *values: object) -> list[JobRecord]:
        """Return the jobs of a query for item ids and records; a record that cannot be read is set aside."""
        jobs = []
        for item_id, record in self.rows(query, *values):
            try:
                jobs.append(_record_decoder.decode(record))
            except (msgspec.DecodeError, TypeError) as error:
                self._set_aside(str(item_id), str(error))
        return jobs

    def _set_aside(self, item_id: str, reason: str) -> None:
        log.error(
            "The journal's record of a job cannot be read; it is set aside.", extra={"item": item_id, "why": reason}
        )
        self._pending.append((_SET_ASIDE, (reason, item_id)))
        self.forget(item_id)

    def rows(self, query: str, *values: object) -> list[Sequence[Any]]:
        """Return the rows of a query, as they are on disk."""
        with self._reading():
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"The journal {self.path} cannot be read: {error}.") from error

    def _highest(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0] or 0)

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
        self.change(_ADD_TO_HISTORY, entry.ended_at, _encode(entry).decode())

    def trim_history(self, keep: int, keep_seconds: float) -> None:
        """Forget all but the last ``keep`` entries of the history, and those so much older than its last one."""
        self.change(_REMOVE_OLD_HISTORY, keep, keep_seconds)

    def forget(self, item_id: str) -> None:
        """Forget the job of an item."""
        self.change("DELETE FROM jobs WHERE item_id = ?", item_id)
        self._pending_jobs[item_id] = None

    def add_delivery(self, job: JobRecord, kind: str, body: dict[str, object], now: float) -> Delivery:
        """Keep something for the queue server and return it; it may go out after the commit."""
        delivery = Delivery(self._next_delivery, job.item_id, job.agent_id, kind, json.dumps(body), now)
        self.change(_ADD_DELIVERY, *msgspec.structs.astuple(delivery))
        self._next_delivery += 1
        return delivery

    def remove_deliveries(self, ids: Iterable[int]) -> None:
        """Forget what the queue server has been told."""
        for delivery_id in ids:
            self.change(_REMOVE_REFUSED_BEFORE, delivery_id)
            self.change(_REMOVE_DELIVERY, delivery_id)

    def set_refused(self, ids: Iterable[int], reason: str, now: float) -> None:
        """Keep rows of the outbox as dead letters, which the queue server refused for ``reason``."""
        for delivery_id in ids:
            self.change(_REMOVE_SUPERSEDED, delivery_id)
            self.change(_SET_REFUSED, now, reason, delivery_id)

    def retry_deliveries(self, ids: Sequence[int] | None) -> list[Delivery]:
        """Make these dead letters, or all of them, rows to be delivered again, and return them."""
        letters = [letter.delivery for letter in self.refused_deliveries() if ids is None or letter.delivery.id in ids]
        for delivery in letters:
            self.change(_SET_REFUSED, None, None, delivery.id)
        return letters

    def change(self, statement: str, *values: object) -> None:
        """Note a change. A text that no file can hold is refused here, where it costs this change and no other one."""
        for value in values:
            if type(value) is str:
                value.encode()
        self._pending.append((statement, values))

    # -- the commit, and what comes after it

    def on_commit(self, hook: Callable[[], None], *, lazy: bool = False) -> None:
        """Run ``hook`` after the next successful commit; it must not raise.

        The commit is made soon, unless ``lazy``: then it may wait for other changes.
        """
        self._hooks.append(hook)
        self._commit_requested = self._commit_requested or not lazy

    def request_commit(self) -> None:
        """Ask for a commit soon: no hook waits for it, but what changed must not be forgotten."""
        self._commit_requested = True

    @property
    def commit_requested(self) -> bool:
        """Whether the next commit should not wait for other changes."""
        return self._commit_requested

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to commit, or a hook that waits for a commit."""
        return bool(self._pending or self._hooks)

    def commit(self) -> None:
        """Write and sync all changes since the last commit, or none of them; then run the hooks.

        Raises:
            JournalError: the disk refused; changes and hooks are kept for the next commit.
        """
        if self._pending:
            try:
                self._write_with_reserve()
            except sqlite3.Error as error:
                sentence = f"The journal {self.path} cannot be written: {error}. Make room on its disk."
                raise JournalError(sentence) from error
            self._pending.clear()
            self._pending_jobs.clear()
        self._commit_requested = False
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

    def _write_with_reserve(self) -> None:
        try:
            self._write_pending()
        except sqlite3.Error:
            if not self._reserve.release():
                raise
            self._note_shortage("its disk is full")
            self._write_pending()

    def reserve_room(self) -> None:
        """Reserve room on the disk, now and then, where there is none: the journal needed it, or it was not there."""
        now = time.monotonic()
        if now < self._reserve_at:
            return
        self._reserve_at = now + RESERVE_AGAIN_SECONDS
        try:
            self._reserve.hold()
        except OSError as error:
            self._note_shortage(str(error.strerror))
        else:
            self.shortage = None

    def _note_shortage(self, why: str) -> None:
        self._reserve_at = time.monotonic() + RESERVE_AGAIN_SECONDS
        self.shortage = f"No room is reserved for the journal {self.path}: {why}. Make room on its disk."

    def _write_pending(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in self._pending:
                self._db.execute(statement, values)
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _ended_job(item: str, name: str, attempt: int, *numbers: object) -> EndedJob:
    return EndedJob(item, attempt_names(name, attempt), _given(numbers))


def _given(numbers: Iterable[object]) -> tuple[int, ...]:
    # A record of another version may hold anything.
    return tuple(number for number in numbers if type(number) is int)


def _readable_record(job: JobRecord) -> str:
    """Return the record of ``job`` as it is kept; raises :class:`UnreadableRecord` for one that its reader refuses."""
    try:
        record = _encode(job)
        _record_decoder.decode(record)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableRecord(f"The record of the job could not be read again: {error}") from error
    return record.decode()


def find_job(db: sqlite3.Connection, word: str) -> JobRecord | None:
    """Return the job of an item, run id or workload name, over or not, from an open journal of any layout so far.

    Raises:
        NewerLayout: it was written by a newer version.
        sqlite3.Error: it cannot be read.
    """
    query = _FIND_JOB.format(order=_ORDER_BY_LAYOUT.get(layout_of(db), _ORDER))
    try:
        row = db.execute(query, (word,)).fetchone()
    except UnicodeEncodeError:
        # Bytes of a command line that are no text: no record can hold them.
        return None
    try:
        return row and _record_decoder.decode(row[0])
    except msgspec.DecodeError:
        return None


def active_records(db: sqlite3.Connection) -> list[JobRecord]:
    """Return the jobs that are not over from an open journal, without records that cannot be read; raises likewise."""
    layout_of(db)
    found = []
    for (record,) in db.execute("SELECT record FROM jobs WHERE over = 0"):
        with contextlib.suppress(msgspec.DecodeError, TypeError):
            found.append(_record_decoder.decode(record))
    return found


def ended_ids(db: sqlite3.Connection, runner: str) -> list[str]:
    """Return the ids in the handles of ``runner`` of jobs that are over, from an open journal; raises likewise."""
    layout_of(db)
    return [word for (word,) in db.execute(_ENDED_IDS, (runner,)) if isinstance(word, str)]


def history(db: sqlite3.Connection, since: float) -> Iterator[HistoryEntry]:
    """Yield what ended at ``since`` (seconds since the epoch) or later, the latest first, from an open journal.

    Raises likewise. An entry that cannot be read is left out.
    """
    layout_of(db)
    if not has_history(db):
        return
    for (record,) in db.execute("SELECT record FROM history WHERE ended_at >= ? ORDER BY number DESC", (since,)):
        with contextlib.suppress(msgspec.DecodeError, TypeError):
            yield _entry_decoder.decode(record)


def _lock_beside(path: Path) -> int:
    try:
        make_passable(path.parent)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"The state directory {path.parent} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalError(
            f"Another agent (process {owner}) uses {path.parent}. Stop it, or give this one another state_dir."
        ) from None
    # The process id is for people: a full disk, which has no room for it, must not keep the agent from starting.
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
    return descriptor
