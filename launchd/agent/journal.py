"""The agent's jobs on disk: SQLite with full sync.

Changes are collected and written by one :meth:`Journal.commit`, so that an iteration of the supervisor's loop costs one
sync; what depends on a change is a hook that runs after that commit.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from ipc.directories import make_passable
from ipc.handles import attempt_names
from launchd.agent.job_record import JobRecord

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    item_id TEXT PRIMARY KEY,
    over INTEGER NOT NULL,
    ended_at REAL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_in_care ON jobs (over) WHERE over = 0;
CREATE INDEX IF NOT EXISTS jobs_ended ON jobs (ended_at) WHERE over = 1;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL
);
"""

_SET_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"

_SAVE_JOB = """
INSERT INTO jobs VALUES (?, ?, ?, ?)
ON CONFLICT (item_id) DO UPDATE SET over = excluded.over, ended_at = excluded.ended_at, record = excluded.record
"""

#: The job with this item id, run id or workload name; of several with one run id, the one claimed last.
_FIND_JOB = """
SELECT record FROM jobs
WHERE item_id = ?1 OR json_extract(record, '$.name') = ?1 OR json_extract(record, '$.spec.run_id') = ?1
ORDER BY json_extract(record, '$.claimed_at') DESC LIMIT 1
"""

#: The journal's name in the state directory.
JOURNAL_FILE = "journal.sqlite"

#: The layout of the tables.
LAYOUT = 1

_record_decoder = msgspec.json.Decoder(JobRecord)
_encode = msgspec.json.encode


class JournalError(Exception):
    """The journal cannot be opened, read or written; the message says why and what to do."""


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


class Journal:
    """One supervisor's journal. Not thread-safe: the supervisor's main thread owns it."""

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, making it if it is missing.

        Raises:
            JournalError: another agent uses it, it is of a newer version, or the disk refuses.
        """
        self.path = path
        self._lock = _lock_beside(path)
        self._pending: list[tuple[str, tuple[object, ...]]] = []
        #: The jobs among the pending changes as they will be, None for one that is to be forgotten.
        self._pending_jobs: dict[str, JobRecord | None] = {}
        self._hooks: list[Callable[[], None]] = []
        self._commit_requested = False
        try:
            self._db = _open(path)
            self._next_delivery = self._highest_delivery() + 1
        except (sqlite3.Error, JournalError) as error:
            os.close(self._lock)
            raise JournalError(f"The journal {path} cannot be used: {error}.") from error

    def close(self) -> None:
        """Close the file and let another agent have it."""
        self._db.close()
        os.close(self._lock)

    # -- reading, at start

    def meta(self, key: str) -> str | None:
        """Return what is kept under ``key``."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row and str(row[0])

    def active_jobs(self) -> list[JobRecord]:
        """Return the jobs that are not over, in the order of their claims."""
        rows = self._db.execute("SELECT record FROM jobs WHERE over = 0")
        return sorted((_record_decoder.decode(row[0]) for row in rows), key=lambda job: job.claimed_at)

    def job(self, item_id: str) -> JobRecord | None:
        """Return the job of an item, over or not, as it was last saved: it may not be on disk yet."""
        if item_id in self._pending_jobs:
            return self._pending_jobs[item_id]
        row = self._db.execute("SELECT record FROM jobs WHERE item_id = ?", (item_id,)).fetchone()
        return row and _record_decoder.decode(row[0])

    def find(self, word: str) -> JobRecord | None:
        """Return the job with this item id, run id or workload name, over or not."""
        return find_job(self._db, word)

    def ended_jobs(self, limit: int) -> list[JobRecord]:
        """Return the ``limit`` jobs that ended last, the latest first."""
        rows = self._db.execute("SELECT record FROM jobs WHERE over = 1 ORDER BY ended_at DESC LIMIT ?", (limit,))
        return [_record_decoder.decode(row[0]) for row in rows]

    def ended_before_last(self, keep: int, limit: int) -> dict[str, tuple[str, ...]]:
        """Return at most ``limit`` jobs that are over, without the ``keep`` that ended last.

        Each is given by its item id, with the workload names of all its attempts.
        """
        # Not whole records: what many of them take is memory that the process keeps.
        rows = self._db.execute(
            "SELECT item_id, json_extract(record, '$.name'), json_extract(record, '$.attempt') FROM jobs WHERE over = 1"
            " ORDER BY ended_at DESC LIMIT ? OFFSET ?",
            (limit, keep),
        )
        return {item_id: attempt_names(name, attempt) for item_id, name, attempt in rows}

    def deliveries(self) -> list[Delivery]:
        """Return what the queue server still has to be told, the oldest first."""
        rows = self._db.execute("SELECT id, item_id, agent_id, kind, body, created_at FROM outbox ORDER BY id")
        return [Delivery(*row) for row in rows]

    # -- writing, collected until commit()

    def set_meta(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``."""
        self._pending.append((_SET_META, (key, value)))

    def save(self, job: JobRecord) -> None:
        """Keep ``job`` as it is now."""
        values = (job.item_id, job.is_over, job.state_at if job.is_over else None, _encode(job).decode())
        self._pending.append((_SAVE_JOB, values))
        self._pending_jobs[job.item_id] = job

    def forget(self, item_id: str) -> None:
        """Forget the job of an item."""
        self._pending_jobs[item_id] = None
        self._pending.append(("DELETE FROM jobs WHERE item_id = ?", (item_id,)))

    def add_delivery(self, job: JobRecord, kind: str, body: dict[str, object], now: float) -> Delivery:
        """Keep something for the queue server and return it; it may go out after the commit."""
        delivery = Delivery(self._next_delivery, job.item_id, job.agent_id, kind, json.dumps(body), now)
        self._next_delivery += 1
        self._pending.append(("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(delivery)))
        return delivery

    def remove_deliveries(self, ids: Iterable[int]) -> None:
        """Forget what the queue server has been told."""
        self._pending += [("DELETE FROM outbox WHERE id = ?", (delivery_id,)) for delivery_id in ids]

    # -- the commit, and what comes after it

    def on_commit(self, hook: Callable[[], None], *, lazy: bool = False) -> None:
        """Run ``hook`` after the next successful commit.

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
                self._write_pending()
            except sqlite3.Error as error:
                sentence = f"The journal {self.path} cannot be written: {error}. Make room on its disk."
                raise JournalError(sentence) from error
            self._pending.clear()
            self._pending_jobs.clear()
        self._commit_requested = False
        hooks, self._hooks = self._hooks, []
        for hook in hooks:
            hook()

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

    def _highest_delivery(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()[0])


def find_job(db: sqlite3.Connection, word: str) -> JobRecord | None:
    """Return the job of an item, run id or workload name, over or not, from an open journal."""
    try:
        row = db.execute(_FIND_JOB, (word,)).fetchone()
    except UnicodeEncodeError:
        # Bytes of a command line that are no text: no record can hold them.
        return None
    return row and _record_decoder.decode(row[0])


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] > LAYOUT:
            raise JournalError("it was written by a newer launchd; install that version or a later one")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # Single rows are all that is ever asked for: a large cache would only be memory.
        db.execute("PRAGMA cache_size = -256")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {LAYOUT}")
    except BaseException:
        db.close()
        raise
    return db


def _lock_beside(path: Path) -> int:
    try:
        make_passable(path.parent)
        descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalError(f"The state directory {path.parent} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(descriptor, 32, 0).decode() or "unknown"
        os.close(descriptor)
        raise JournalError(
            f"Another agent (process {owner}) uses {path.parent}. Stop it, or give this one another state_dir."
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
