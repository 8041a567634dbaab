"""The tables of the journal, and how those of an earlier version become the present ones."""

import sqlite3
from pathlib import Path

from launchd import __version__

#: The layout of the tables. 1: jobs were in the order of the wall clock, and the outbox had no refused rows. 2: there
#: were no leases of GPUs.
LAYOUT = 3

#: ``number`` orders jobs by their claims while they are not over, and by their ends afterwards.
_JOBS = """
CREATE TABLE jobs (
    item_id TEXT PRIMARY KEY,
    over INTEGER NOT NULL,
    number INTEGER NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX jobs_in_order ON jobs (over, number);
CREATE TABLE unreadable_jobs (item_id TEXT PRIMARY KEY, record TEXT NOT NULL, reason TEXT NOT NULL);
"""

_META = "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"

_OUTBOX = """
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    item_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL,
    refused_at REAL,
    reason TEXT
);
"""

_OUTBOX_INDEX = "CREATE INDEX outbox_refused ON outbox (item_id) WHERE refused_at IS NOT NULL;"

_SET_OLD_JOBS_ASIDE = "ALTER TABLE jobs RENAME TO jobs_of_layout_1;"

_COPY_OLD_JOBS = """
INSERT INTO jobs SELECT item_id, over, row_number() OVER (
    ORDER BY over DESC,
    coalesce(ended_at, CASE WHEN json_valid(record) THEN json_extract(record, '$.claimed_at') END),
    item_id
), record FROM jobs_of_layout_1;
DROP TABLE jobs_of_layout_1;
"""

_WIDEN_OUTBOX = """
ALTER TABLE outbox ADD COLUMN refused_at REAL;
ALTER TABLE outbox ADD COLUMN reason TEXT;
"""

#: A row for each GPU that a job has. ``fence`` numbers the leases, ``boot`` is the id of the host's boot, ``record`` is
#: the GPU as it was then.
_GPU_LEASES = """
CREATE TABLE gpu_leases (
    gpu TEXT PRIMARY KEY,
    item_id TEXT NOT NULL,
    job TEXT NOT NULL,
    fence INTEGER NOT NULL,
    boot TEXT NOT NULL,
    record TEXT NOT NULL
) WITHOUT ROWID;
"""

#: What makes the present layout, by the layout before; 0 is an empty file.
_CHANGES = {
    0: (_META, _JOBS, _OUTBOX, _OUTBOX_INDEX, _GPU_LEASES),
    1: (_SET_OLD_JOBS_ASIDE, _JOBS, _COPY_OLD_JOBS, _WIDEN_OUTBOX, _OUTBOX_INDEX, _GPU_LEASES),
    2: (_GPU_LEASES,),
}


#: The key of the meta table under which the version is kept that gave the journal its layout. Older versions read it.
LAID_OUT_BY = "laid_out_by"


class NewerLayout(Exception):
    """The journal was written by a newer version; ``writer`` is the number of the oldest that reads it, if known."""

    def __init__(self, writer: str | None) -> None:
        self.writer = f"launchd {writer}" if writer else "a newer launchd"
        super().__init__(
            f"it was written by {self.writer}, and this is {__version__}; install that version or a later one"
        )


def open_journal(path: Path) -> sqlite3.Connection:
    """Open the journal at ``path`` for writing, and bring its tables to the present layout.

    Nothing is written where there is nothing to change: an agent starts on a full disk, too.

    Raises:
        NewerLayout: it was written by a newer version.
        sqlite3.Error: it cannot be read or written.
    """
    db = sqlite3.connect(path, isolation_level=None)
    try:
        layout = layout_of(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # Single rows are all that is ever asked for: a large cache would only be memory.
        db.execute("PRAGMA cache_size = -256")
        if layout < LAYOUT:
            _change(db, "".join(_CHANGES[layout]))
    except BaseException:
        db.close()
        raise
    return db


def layout_of(db: sqlite3.Connection) -> int:
    """Return the layout of an open journal; raises :class:`NewerLayout` and ``sqlite3.Error``."""
    layout = int(db.execute("PRAGMA user_version").fetchone()[0])
    if layout > LAYOUT:
        raise NewerLayout(_laid_out_by(db))
    return layout


def _laid_out_by(db: sqlite3.Connection) -> str | None:
    try:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (LAID_OUT_BY,)).fetchone()
    except sqlite3.OperationalError:
        # A layout without that table.
        return None
    return str(row[0]) if row else None


def _change(db: sqlite3.Connection, script: str) -> None:
    try:
        db.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {LAYOUT};")
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (LAID_OUT_BY, __version__))
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
