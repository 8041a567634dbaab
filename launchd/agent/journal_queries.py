"""Questions to an open journal of any layout so far, be it an agent's own or another one's; nothing is written.

A record that cannot be read is left out. Each function raises :class:`~launchd.agent.journal_schema.NewerLayout` for a
journal of a newer version, and ``sqlite3.Error`` for one that cannot be read.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator

import msgspec

from launchd.agent.job_history import HistoryEntry
from launchd.agent.job_record import JobRecord
from launchd.agent.journal_schema import has_history, layout_of

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

_record_decoder = msgspec.json.Decoder(JobRecord)
_entry_decoder = msgspec.json.Decoder(HistoryEntry)


def decode_record(record: str | bytes) -> JobRecord:
    """Return the job in a ``record``; raises ``msgspec.DecodeError``, or ``TypeError``, for one that cannot be read."""
    return _record_decoder.decode(record)


def find_job(db: sqlite3.Connection, word: str) -> JobRecord | None:
    """Return the job of an item, run id or workload name, over or not."""
    query = _FIND_JOB.format(order=_ORDER_BY_LAYOUT.get(layout_of(db), _ORDER))
    try:
        rows = db.execute(query, (word,)).fetchall()
    except UnicodeEncodeError:
        # Bytes of a command line that are no text: no record can hold them.
        return None
    return next(_readable(rows), None)


def active_records(db: sqlite3.Connection) -> list[JobRecord]:
    """Return the jobs that are not over."""
    layout_of(db)
    return list(_readable(db.execute("SELECT record FROM jobs WHERE over = 0")))


def _readable(rows: Iterable[tuple[str]]) -> Iterator[JobRecord]:
    for (record,) in rows:
        with contextlib.suppress(msgspec.DecodeError, TypeError):
            yield decode_record(record)


def ended_ids(db: sqlite3.Connection, runner: str) -> list[str]:
    """Return the ids in the handles of ``runner`` of jobs that are over."""
    layout_of(db)
    return [word for (word,) in db.execute(_ENDED_IDS, (runner,)) if isinstance(word, str)]


def history(db: sqlite3.Connection, since: float) -> Iterator[HistoryEntry]:
    """Yield what ended at ``since`` (seconds since the epoch) or later, the latest first."""
    layout_of(db)
    if not has_history(db):
        return
    for (record,) in db.execute("SELECT record FROM history WHERE ended_at >= ? ORDER BY number DESC", (since,)):
        with contextlib.suppress(msgspec.DecodeError, TypeError):
            yield _entry_decoder.decode(record)
