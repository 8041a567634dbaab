"""Deletion of abandoned uploads and of versions whose lifetime is over."""

from sqlalchemy import Connection, bindparam, exists

from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import edits as artifact_edits
from launchd.server.store.artifacts.artifacts import COMMITTED, PENDING, SELECTED, from_row
from launchd.server.store.tables import artifact_links, artifacts

_AT_ONCE = 100

row = artifacts.c
_ABANDONED = SELECTED.where(row.state == PENDING, row.updated_at < bindparam("before")).limit(_AT_ONCE)
# W&B's rule: the lifetime of a linked version does not count.
_IS_LINKED = exists().where(artifact_links.c.artifact_number == row.number)
_EXPIRED = SELECTED.where(
    row.state == COMMITTED,
    row.ttl_seconds.is_not(None),
    row.created_at + row.ttl_seconds < bindparam("before"),
    ~_IS_LINKED,
).limit(_AT_ONCE)


def delete_abandoned(connection: Connection, before: float) -> int:
    """Delete some uncommitted artifacts without uploads since `before`. Returns how many."""
    found = connection.execute(_ABANDONED, {"before": before}).all()
    for abandoned in found:
        artifact_edits.mark_deleted(connection, abandoned.number)
    return len(found)


def delete_expired(connection: Connection, now: float) -> int:
    """Delete some versions whose lifetime has ended. Returns how many."""
    found = [from_row(expired) for expired in connection.execute(_EXPIRED, {"before": now})]
    for expired in found:
        artifact_edits.mark_deleted(connection, expired.number)
        artifact_aliases.remove_all(connection, expired.number)
    return len(found)
