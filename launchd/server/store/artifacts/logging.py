"""The row of an artifact while it is logged: created, then committed with its version number."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, func, insert, select, update

from launchd.server.errors import Refused
from launchd.server.models import Artifact, Collection, EntityRecord, Viewer
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts.artifacts import COMMITTED, PENDING, SELECTED, one, require_pending
from launchd.server.store.artifacts.collections import ensure_collection, with_tags
from launchd.server.store.database import insert_row
from launchd.server.store.tables import artifacts

_LONGEST_DIGEST = 128
_LONGEST_DISTRIBUTED = 1024
_TICK = 0.001

row = artifacts.c
_IN_COLLECTION = SELECTED.where(row.collection_id == bindparam("of_collection"))
_BY_CLIENT = _IN_COLLECTION.where(row.client_id == bindparam("of_client"))
_DISTRIBUTED = _IN_COLLECTION.where(row.distributed_id == bindparam("of_distributed"), row.state == PENDING)
# The digest is what the client says it is, so only the same user's versions stand for one that is not logged.
_SAME_DIGEST = (
    _IN_COLLECTION.where(
        row.state == COMMITTED, row.digest == bindparam("of_digest"), row.maker_id == bindparam("of_maker")
    )
    .order_by(row.number.desc())
    .limit(1)
)
_BY_NUMBER = SELECTED.where(row.number == bindparam("of_number"))
_UPDATE_PENDING = update(artifacts).where(row.number == bindparam("of_number"), row.state == PENDING)


def create(connection: Connection, entity: EntityRecord, given: Mapping[str, Any], maker_id: int) -> Artifact:
    """A version of a collection, created if missing by this user, as `CreateArtifactInput` says.

    W&B's clients call twice for one artifact, with the same `client_id`: the second call gets the version of the first,
    and adds only what was missing. Those with one `distributed_id` log one version until it is committed.
    `enable_digest_deduplication` returns a version with the same digest that the same user has committed.

    Raises:
        Refused: a name, alias, tag or digest is invalid, or the collection is of another type.
    """
    name = given.get("artifact_collection_name") or next(iter(given.get("artifact_collection_names") or ()), "")
    collection = ensure_collection(connection, entity, given["project_name"], given["artifact_type_name"], name)
    aliases = list(dict.fromkeys(each["alias"] for each in given.get("aliases") or ()))
    artifact_aliases.check_aliases(aliases)
    found = _find_existing(connection, collection, given, maker_id)
    if found is None:
        return _insert(connection, collection, given, aliases, maker_id)
    if found.state == COMMITTED:
        artifact_aliases.move(connection, found.membership, aliases)
        return found
    return _complete(connection, found, given, aliases)


def _find_existing(
    connection: Connection, collection: Collection, given: Mapping[str, Any], maker_id: int
) -> Artifact | None:
    found = None
    if given.get("client_id"):
        which = {"of_collection": collection.id, "of_client": given["client_id"]}
        found = one(connection, _BY_CLIENT, which)
    if given.get("distributed_id"):
        return found or _find_distributed(connection, collection, given["distributed_id"])
    if found is None and given.get("enable_digest_deduplication"):
        which = {"of_collection": collection.id, "of_digest": given["digest"], "of_maker": maker_id}
        found = one(connection, _SAME_DIGEST, which)
    return found


def _find_distributed(connection: Connection, collection: Collection, distributed_id: str) -> Artifact | None:
    """The version that the processes with this id are logging."""
    if len(distributed_id) > _LONGEST_DISTRIBUTED:
        raise Refused(f"The distributed id of an artifact has at most {_LONGEST_DISTRIBUTED} characters.")
    return one(connection, _DISTRIBUTED, {"of_collection": collection.id, "of_distributed": distributed_id})


def _insert(
    connection: Connection, collection: Collection, given: Mapping[str, Any], aliases: Sequence[str], maker_id: int
) -> Artifact:
    if len(given["digest"]) > _LONGEST_DIGEST:
        raise Refused("The artifact's digest is longer than any digest.")
    now = time.time()
    made: dict[str, Any] = {
        "collection_id": collection.id,
        "client_id": given.get("client_id"),
        "distributed_id": given.get("distributed_id") or None,
        "maker_id": maker_id,
        "state": PENDING,
        "digest": given["digest"],
        "digest_algorithm": given.get("digest_algorithm") or "MANIFEST_MD5",
        "description": given.get("description"),
        "metadata": given.get("metadata"),
        "wanted_aliases": _json(aliases),
        "tags": _json(with_tags((), (tag["tag_name"] for tag in given.get("tags") or ()), ())),
        "size": 0,
        "file_count": 0,
        "created_at": now,
        "updated_at": now,
        "history_step": given.get("history_step"),
        "ttl_seconds": ttl_of(given.get("ttl_duration_seconds")),
    }
    return _reread(connection, insert_row(connection, insert(artifacts), made))


def ttl_of(given: int | None) -> int | None:
    """W&B's lifetime of a version in seconds; its negative values mean unlimited."""
    return given if given is not None and given > 0 else None


def _complete(connection: Connection, found: Artifact, given: Mapping[str, Any], aliases: Sequence[str]) -> Artifact:
    """Add what the first call left out."""
    missing = {key: given.get(key) for key in ("description", "metadata") if getattr(found, key) is None}
    wanted = dict.fromkeys([*_wanted_aliases(connection, found), *aliases])
    changes = {**missing, "wanted_aliases": _json(wanted), "updated_at": time.time()}
    connection.execute(_UPDATE_PENDING, {"of_number": found.number, **changes})
    return _reread(connection, found.number)


def _reread(connection: Connection, number: int) -> Artifact:
    found = one(connection, _BY_NUMBER, {"of_number": number})
    assert found is not None
    return found


def _wanted_aliases(connection: Connection, artifact: Artifact) -> list[str]:
    text = connection.execute(select(row.wanted_aliases).where(row.number == artifact.number)).scalar_one()
    return msgspec.json.decode(text, type=list[str])


def touch(connection: Connection, artifact: Artifact) -> None:
    """Record a change of a pending artifact, so that it does not count as abandoned and a commit under way ends."""
    later = max(time.time(), artifact.updated_at + _TICK)
    connection.execute(_UPDATE_PENDING, {"of_number": artifact.number, "updated_at": later})


def require_untouched(connection: Connection, viewer: Viewer, artifact_id: str, since: Artifact) -> Artifact:
    """The pending artifact, as it was when it was read as `since`.

    Raises:
        Refused: it is not pending any more, or has been touched since then.
    """
    found = require_pending(connection, viewer, artifact_id)
    if found.updated_at != since.updated_at:
        raise Refused(f"Artifact {found.title!r} was changed while it was being committed. Commit it again.")
    return found


def commit(connection: Connection, artifact: Artifact, *, size: int, file_count: int) -> None:
    """PENDING -> COMMITTED: the version gets its index, the wanted aliases move to it."""
    highest = select(func.max(row.version_index)).where(row.collection_id == artifact.collection.id)
    last = connection.execute(highest).scalar()
    changes = {
        "state": COMMITTED,
        "version_index": 0 if last is None else last + 1,
        "size": size,
        "file_count": file_count,
        "updated_at": time.time(),
    }
    if connection.execute(_UPDATE_PENDING, {"of_number": artifact.number, **changes}).rowcount:
        artifact_aliases.move(connection, artifact.membership, _wanted_aliases(connection, artifact))


def _json(aliases: Iterable[str]) -> str:
    return msgspec.json.encode(list(aliases)).decode()
