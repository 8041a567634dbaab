"""What the store can let go of: artifacts that nobody finished, those whose time is over. Owns no table."""

from sqlalchemy import Connection, bindparam

from launchd.server.store import artifact_aliases, artifact_edits
from launchd.server.store.artifacts import COMMITTED, PENDING, SELECTED, from_row
from launchd.server.store.tables import artifacts

_AT_ONCE = 100

row = artifacts.c
_ABANDONED = SELECTED.where(row.state == PENDING, row.updated_at < bindparam("before")).limit(_AT_ONCE)
_EXPIRED = SELECTED.where(
    row.state == COMMITTED, row.ttl_seconds.is_not(None), row.created_at + row.ttl_seconds < bindparam("before")
).limit(_AT_ONCE)


def forget_abandoned(connection: Connection, before: float) -> int:
    """Delete some of the artifacts that nobody has worked at since then and never committed. Returns how many."""
    found = connection.execute(_ABANDONED, {"before": before}).all()
    for abandoned in found:
        artifact_edits.forget(connection, abandoned.number)
    return len(found)


def forget_expired(connection: Connection, now: float) -> int:
    """Delete some of the versions that were to live until now. Returns how many."""
    found = [from_row(expired) for expired in connection.execute(_EXPIRED, {"before": now})]
    for expired in found:
        artifact_edits.forget(connection, expired.number)
        artifact_aliases.remove_all(connection, expired)
    return len(found)
