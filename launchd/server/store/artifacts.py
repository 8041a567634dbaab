"""Artifacts and their collections: creation, aliases, commit. Owns their rows, not their files."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import NotFound, Refused
from launchd.server.store import identities
from launchd.server.store.access import binds, may_use
from launchd.server.store.database import insert_row
from launchd.server.store.ids import parse_storage_id, storage_id
from launchd.server.store.records import Artifact, EntityRecord, Viewer
from launchd.server.store.tables import artifact_aliases, artifact_collections, artifacts, projects

PENDING, COMMITTED = "PENDING", "COMMITTED"

row = artifacts.c
_ARTIFACTS = (
    select(
        row.number,
        row.collection_id,
        artifact_collections.c.name.label("collection_name"),
        artifact_collections.c.type,
        artifact_collections.c.project_id,
        projects.c.entity_id,
        row.state,
        row.digest,
        row.digest_algorithm,
        row.description,
        row.metadata,
        row.tags,
        row.version_index,
        row.size,
        row.file_count,
        row.created_at,
        row.updated_at,
    )
    .join(artifact_collections, artifact_collections.c.id == row.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
)
_BY_NUMBER = _ARTIFACTS.where(row.number == bindparam("of_number"), may_use(projects.c.entity_id))
_BY_CLIENT = _ARTIFACTS.where(row.collection_id == bindparam("of_collection"), row.client_id == bindparam("of_client"))
_COMMITTED = _ARTIFACTS.where(row.collection_id == bindparam("of_collection"), row.state == COMMITTED)
_SAME_DIGEST = _COMMITTED.where(row.digest == bindparam("of_digest")).order_by(row.number.desc()).limit(1)
_LATEST = _COMMITTED.order_by(row.version_index.desc()).limit(1)


def _one(connection: Connection, statement: Any, values: Mapping[str, Any]) -> Artifact | None:
    found = connection.execute(statement, values).first()
    return Artifact(**{**found._mapping, "tags": msgspec.json.decode(found.tags)}) if found else None


def find_artifact(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact | None:
    """The artifact by the id that clients know, if the viewer may use it."""
    number = parse_storage_id(artifact_id, "Artifact")[0]
    if not number.isdecimal() or len(number) > 18:
        return None
    return _one(connection, _BY_NUMBER, {"of_number": int(number), **binds(viewer)})


def require_artifact(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact:
    """As `find_artifact`.

    Raises:
        NotFound: no such artifact that the viewer may use.
    """
    artifact = find_artifact(connection, viewer, artifact_id)
    if artifact is None:
        raise NotFound(f"There is no artifact with the id {artifact_id[:100]!r} that you may use.")
    return artifact


def require_pending(connection: Connection, viewer: Viewer, artifact_id: str) -> Artifact:
    """As `require_artifact`, for one that may still change.

    Raises:
        Refused: it is committed.
    """
    artifact = require_artifact(connection, viewer, artifact_id)
    if artifact.state != PENDING:
        raise Refused(
            f"Artifact {artifact.collection_name!r} is {artifact.state}; its files cannot be changed any more."
        )
    return artifact


def latest_of(connection: Connection, collection_id: int) -> Artifact | None:
    """The newest committed version."""
    return _one(connection, _LATEST, {"of_collection": collection_id})


def aliases_of(connection: Connection, number: int) -> list[tuple[int, str]]:
    """Id and word of each alias of a version."""
    wanted = select(artifact_aliases.c.id, artifact_aliases.c.alias).where(artifact_aliases.c.artifact_number == number)
    return [(found.id, found.alias) for found in connection.execute(wanted)]


def create_artifact(connection: Connection, viewer: Viewer, entity: EntityRecord, given: Mapping[str, Any]) -> Artifact:
    """A version of a collection, made if missing, as `CreateArtifactInput` asks for it.

    W&B's clients call twice for one artifact, with the same `client_id`: the second call gets what the first made, and
    fills in only what was missing. `enable_digest_deduplication` answers a committed version of the same digest.
    """
    collection_id = _ensure_collection(connection, entity, given)
    aliases = [wish["alias"] for wish in given.get("aliases") or ()]
    again = {"of_collection": collection_id, "of_client": given.get("client_id")}
    found = _one(connection, _BY_CLIENT, again) if given.get("client_id") else None
    if found is not None:
        _fill_in(connection, found, given, aliases)
        return found
    if given.get("enable_digest_deduplication"):
        same = _one(connection, _SAME_DIGEST, {"of_collection": collection_id, "of_digest": given["digest"]})
        if same is not None:
            _move_aliases(connection, same, aliases)
            return same
    return _insert(connection, viewer, collection_id, given, aliases)


def _ensure_collection(connection: Connection, entity: EntityRecord, given: Mapping[str, Any]) -> int:
    project, _ = identities.ensure_project(connection, entity, given["project_name"])
    name = given.get("artifact_collection_name") or next(iter(given.get("artifact_collection_names") or ()), "")
    identities.check_name("artifact", name)
    wanted = select(artifact_collections.c.id, artifact_collections.c.type).where(
        artifact_collections.c.project_id == project.id, artifact_collections.c.name == name
    )
    found = connection.execute(wanted).first()
    if found is None:
        made = {"project_id": project.id, "type": given["artifact_type_name"], "name": name}
        return insert_row(connection, insert(artifact_collections), made)
    if found.type != given["artifact_type_name"]:
        raise Refused(f"Artifact {name!r} is of type {found.type!r}, not {given['artifact_type_name']!r}.")
    return int(found.id)


def _insert(
    connection: Connection, viewer: Viewer, collection_id: int, given: Mapping[str, Any], aliases: Sequence[str]
) -> Artifact:
    now = time.time()
    made: dict[str, Any] = {
        "collection_id": collection_id,
        "client_id": given.get("client_id"),
        "state": PENDING,
        "digest": given["digest"],
        "digest_algorithm": given.get("digest_algorithm") or "MANIFEST_MD5",
        "description": given.get("description"),
        "metadata": given.get("metadata"),
        "wanted_aliases": _json(aliases),
        "tags": _json([tag["tag_name"] for tag in given.get("tags") or ()]),
        "size": 0,
        "file_count": 0,
        "created_at": now,
        "updated_at": now,
    }
    number = insert_row(connection, insert(artifacts), made)
    return require_artifact(connection, viewer, storage_id("Artifact", number))


def _fill_in(connection: Connection, found: Artifact, given: Mapping[str, Any], aliases: Sequence[str]) -> None:
    """Nothing that the first call said is lost."""
    missing = {key: given.get(key) for key in ("description", "metadata") if getattr(found, key) is None}
    wanted = [*_wanted_aliases(connection, found), *aliases]
    changes = {**missing, "wanted_aliases": _json(dict.fromkeys(wanted))}
    connection.execute(update(artifacts).where(row.number == found.number, row.state == PENDING).values(changes))


def _wanted_aliases(connection: Connection, artifact: Artifact) -> list[str]:
    text = connection.execute(select(row.wanted_aliases).where(row.number == artifact.number)).scalar_one()
    return msgspec.json.decode(text, type=list[str])


def commit(connection: Connection, artifact: Artifact, *, size: int, file_count: int) -> None:
    """PENDING -> COMMITTED: the version gets its index, the wanted aliases move to it."""
    highest = select(func.max(row.version_index)).where(row.collection_id == artifact.collection_id)
    last = connection.execute(highest).scalar()
    changes = {
        "state": COMMITTED,
        "version_index": 0 if last is None else last + 1,
        "size": size,
        "file_count": file_count,
        "updated_at": time.time(),
    }
    done = connection.execute(
        update(artifacts).where(row.number == artifact.number, row.state == PENDING).values(changes)
    )
    if done.rowcount:
        _move_aliases(connection, artifact, _wanted_aliases(connection, artifact))


def _move_aliases(connection: Connection, artifact: Artifact, aliases: Iterable[str]) -> None:
    alias = artifact_aliases.c
    for word in aliases:
        connection.execute(
            delete(artifact_aliases).where(alias.collection_id == artifact.collection_id, alias.alias == word)
        )
        made = {"collection_id": artifact.collection_id, "alias": word, "artifact_number": artifact.number}
        connection.execute(insert(artifact_aliases), made)


def _json(words: Iterable[str]) -> str:
    return msgspec.json.encode(list(words)).decode()
