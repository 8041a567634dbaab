"""Stored contents that stand for an upload, found by the MD5 that W&B's manifests have.

Two contents can be made to have one MD5, so it tells contents apart only as far as no other user may choose them: who
announces a file has a content of their own, and what stands for its upload is what the same user has uploaded before.
A commit takes the rest, which its client never had (the unchanged files of a draft), from earlier versions. In both
cases an MD5 with two contents stands for none of them. Blobs themselves are kept under their SHA-256.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, select

from launchd.server.models import Artifact
from launchd.server.store.tables import artifact_collections, artifact_files, artifacts, projects

_BATCH = 10_000

file = artifact_files.c
_IN_ENTITY = (
    select(
        file.md5,
        func.min(file.content).label("content"),
        func.min(file.size).label("size"),
        func.min(file.uploader_id).label("uploader_id"),
    )
    .join(artifacts, artifacts.c.number == file.artifact_number)
    .join(artifact_collections, artifact_collections.c.id == artifacts.c.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
    .where(
        # A digest must not open another entity's files.
        projects.c.entity_id == bindparam("of_entity"),
        file.md5.in_(bindparam("md5s", expanding=True)),
        file.content.is_not(None),
    )
    .group_by(file.md5)
    .having(func.min(file.content) == func.max(file.content))
)
_OF_UPLOADER = _IN_ENTITY.where(file.uploader_id == bindparam("of_uploader"))
_IN_COLLECTION = _IN_ENTITY.where(artifacts.c.collection_id == bindparam("of_collection"))


class StoredContent(msgspec.Struct, frozen=True):
    """SHA-256 in hex and size in bytes of a blob, and a user who uploaded it; None where it is missing or not known."""

    content: str | None
    size: int | None
    uploader_id: int | None


Stored = Mapping[str, StoredContent]
"""Stored contents by their MD5 in base64."""


def of_uploader(connection: Connection, artifact: Artifact, md5s: Sequence[str], uploader_id: int) -> Stored:
    """What this user has uploaded to the artifact's entity."""
    which = {"of_entity": artifact.collection.entity_id, "of_uploader": uploader_id}
    return _find(connection, _OF_UPLOADER, which, md5s)


def of_versions(connection: Connection, artifact: Artifact, md5s: Sequence[str]) -> Stored:
    """What the artifact's collection has; what it has not, of the whole entity."""
    which = {"of_entity": artifact.collection.entity_id}
    mine = _find(connection, _IN_COLLECTION, which | {"of_collection": artifact.collection.id}, md5s)
    return {**_find(connection, _IN_ENTITY, which, [md5 for md5 in md5s if md5 not in mine]), **mine}


def _find(
    connection: Connection, statement: Select[Any], which: Mapping[str, object], md5s: Sequence[str]
) -> dict[str, StoredContent]:
    found = (connection.execute(statement, {**which, "md5s": some}) for some in batches(md5s))
    return {row.md5: StoredContent(row.content, row.size, row.uploader_id) for rows in found for row in rows}


def batches(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """The values in pieces: SQLite takes 32,766 parameters at most."""
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]
