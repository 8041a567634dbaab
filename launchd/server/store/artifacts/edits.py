"""Changing and deleting versions and collections, with their rows; garbage collection removes the blobs later."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, or_, select, update

from launchd.server.errors import Refused
from launchd.server.models import Artifact, Collection
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import links as artifact_links
from launchd.server.store.artifacts.artifacts import DELETED
from launchd.server.store.artifacts.collections import with_tags
from launchd.server.store.artifacts.logging import ttl_of
from launchd.server.store.artifacts.members import LATEST
from launchd.server.store.tables import artifact_aliases as aliases
from launchd.server.store.tables import artifact_collections, artifact_files, artifacts
from launchd.server.store.tables import artifact_links as links

_MOST_FILES = 2_000
"""Rows of files that are removed in one transaction: each costs entries of several indexes."""

row = artifacts.c
_UPDATE = update(artifacts).where(row.number == bindparam("of_number"))
_DELETE = _UPDATE.where(row.state != DELETED).values(state=DELETED)
_DELETED = select(row.number).where(row.state == DELETED)
_SOME_FILES = select(artifact_files.c.id).where(artifact_files.c.artifact_number.in_(_DELETED)).limit(bindparam("most"))
_REMOVE_SOME_FILES = delete(artifact_files).where(artifact_files.c.id.in_(_SOME_FILES))
_DELETE_MEMBERS = (
    update(artifacts).where(row.collection_id == bindparam("of_collection"), row.state != DELETED).values(state=DELETED)
)
_VERSIONS = select(row.number).where(row.collection_id == bindparam("of_collection"))
_LINKED = select(links.c.artifact_number).where(links.c.artifact_number.in_(_VERSIONS)).distinct()
_MEMBERS_OF_COLLECTION = (
    delete(artifact_files).where(artifact_files.c.artifact_number.in_(_VERSIONS)),
    delete(links).where(
        or_(links.c.artifact_number.in_(_VERSIONS), links.c.collection_id == bindparam("of_collection"))
    ),
    delete(aliases).where(aliases.c.collection_id == bindparam("of_collection")),
)
_OF_COLLECTION = (
    delete(artifacts).where(row.collection_id == bindparam("of_collection")),
    delete(artifact_collections).where(artifact_collections.c.id == bindparam("of_collection")),
)


def edit(connection: Connection, found: Artifact, given: Mapping[str, Any]) -> None:
    """Change a version as `UpdateArtifactInput` says; null leaves a column unchanged.

    Raises:
        Refused: it is deleted, or an alias or tag is invalid.
    """
    if found.state == DELETED:
        raise Refused(f"Artifact {found.title!r} is deleted.")
    tags = with_tags(found.tags, _names(given.get("tags_to_add")), _names(given.get("tags_to_delete")))
    changes: dict[str, Any] = {"tags": msgspec.json.encode(tags).decode(), "updated_at": time.time()}
    changes |= {key: given[key] for key in ("description", "metadata") if given.get(key) is not None}
    if given.get("ttl_duration_seconds") is not None:
        changes["ttl_seconds"] = ttl_of(given["ttl_duration_seconds"])
    connection.execute(_UPDATE, {"of_number": found.number, **changes})
    if given.get("aliases") is not None:
        artifact_aliases.replace(connection, found.membership, [each["alias"] for each in given["aliases"]])


def _names(tags: Iterable[Mapping[str, Any]] | None) -> list[str]:
    return [tag["tag_name"] for tag in tags or ()]


def delete_version(connection: Connection, found: Artifact, *, with_aliases: bool) -> None:
    """Delete a version and its links; `remove_some_files` has to follow. Its numbers are not used again.

    Raises:
        Refused: it has aliases other than `latest`, here or in portfolios, and `with_aliases` is false.
    """
    if not with_aliases:
        _check_no_aliases(connection, found)
    artifact_links.unlink_everywhere(connection, found.number)
    mark_deleted(connection, found.number)
    artifact_aliases.remove_all(connection, found.number)


def _check_no_aliases(connection: Connection, found: Artifact) -> None:
    given = {
        collection_id: names
        for collection_id, rows in artifact_aliases.aliases_of(connection, found.number).items()
        if (names := [name for _, name in rows if name != LATEST])
    }
    here = given.pop(found.collection.id, None)
    if here:
        raise Refused(f"Artifact {found.title!r} has the aliases {', '.join(here)}: delete them too, or move them.")
    if given:
        # They are not named, because they may be of an entity that the caller may not see.
        raise Refused(f"Artifact {found.title!r} has aliases in portfolios: delete them too, or move them.")


def mark_deleted(connection: Connection, number: int) -> None:
    """Mark a version deleted; `remove_some_files` has to follow."""
    connection.execute(_DELETE, {"of_number": number, "updated_at": time.time()})


def remove_some_files(connection: Connection) -> bool:
    """Remove rows of files of deleted versions, a few thousand. True while there may be more."""
    return connection.execute(_REMOVE_SOME_FILES, {"most": _MOST_FILES}).rowcount == _MOST_FILES


def delete_versions(connection: Connection, found: Collection) -> None:
    """Mark all versions of a collection deleted; `remove_some_files` and `delete_collection` have to follow."""
    connection.execute(_DELETE_MEMBERS, {"of_collection": found.id})


def delete_collection(connection: Connection, found: Collection) -> Collection:
    """Delete a collection with all its versions, also from portfolios. Returns its last record, marked as deleted.

    Versions that are only linked to it are kept. Most rows of files should have been removed before.
    """
    which = {"of_collection": found.id}
    linked = connection.execute(_LINKED, which).scalars().all()
    for statement in _MEMBERS_OF_COLLECTION:
        connection.execute(statement, which)
    for number in linked:
        artifact_aliases.remove_all(connection, number)
    for statement in _OF_COLLECTION:
        connection.execute(statement, which)
    return msgspec.structs.replace(found, deleted=True)
