"""Parts of artifact files, until the files are assembled. Rows only; blobs are in `files.blob_store`."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, update

from launchd.server.errors import Refused
from launchd.server.models import ArtifactFile, FilePart, LinkHolder
from launchd.server.store.accounts.link_holders import holder_binds, holder_may
from launchd.server.store.artifacts.artifacts import PENDING
from launchd.server.store.tables import artifact_collections, artifact_files, artifact_parts, artifacts, projects

MOST_PARTS = 10_000
"""The most parts into which W&B's clients split a file."""

part = artifact_parts.c
_OF_FILE = select(artifact_parts).where(part.file_id == bindparam("of_file")).order_by(part.number)
_LINKED = (
    select(artifact_parts)
    .join(artifact_files, artifact_files.c.id == part.file_id)
    .join(artifacts, artifacts.c.number == artifact_files.c.artifact_number)
    .join(artifact_collections, artifact_collections.c.id == artifacts.c.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
    .where(part.id == bindparam("of_id"), artifacts.c.state == PENDING, holder_may(projects.c.entity_id))
)
_IS_PENDING = exists().where(
    artifact_files.c.id == part.file_id,
    artifacts.c.number == artifact_files.c.artifact_number,
    artifacts.c.state == PENDING,
)
_ARRIVED = (
    update(artifact_parts)
    .where(
        part.id == bindparam("of_id"),
        or_(part.content == bindparam("arrived"), part.content.is_(None)),
        _IS_PENDING,
    )
    .values(content=bindparam("arrived"))
)
_REMOVE = delete(artifact_parts).where(part.file_id == bindparam("of_file"))
_FILES = select(artifact_files.c.id).where(artifact_files.c.artifact_number == bindparam("of_artifact"))
_REMOVE_ALL = delete(artifact_parts).where(part.file_id.in_(_FILES))


def announce(connection: Connection, file: ArtifactFile, md5s: Sequence[str]) -> list[FilePart]:
    """Rows for the parts of a file, in order. Parts announced before with the same digests are kept.

    Raises:
        Refused: more than `MOST_PARTS`.
    """
    if len(md5s) > MOST_PARTS:
        raise Refused(f"{file.name[:100]!r} comes in {len(md5s)} parts; at most {MOST_PARTS} are taken.")
    found = of_file(connection, file.id)
    if [each.md5 for each in found] == list(md5s):
        return found
    remove(connection, file.id)
    rows = [{"file_id": file.id, "number": number, "md5": md5} for number, md5 in enumerate(md5s, 1)]
    connection.execute(insert(artifact_parts), rows)
    return of_file(connection, file.id)


def of_file(connection: Connection, file_id: int) -> list[FilePart]:
    """All parts of a file, in order."""
    return [FilePart(**row._mapping) for row in connection.execute(_OF_FILE, {"of_file": file_id})]


def linked_part(connection: Connection, holder: LinkHolder, part_id: int) -> FilePart | None:
    """The part of a link, if its artifact is pending and who got the link may still upload to it."""
    row = connection.execute(_LINKED, {"of_id": part_id, **holder_binds(holder)}).first()
    return FilePart(**row._mapping) if row else None


def arrived(connection: Connection, part_id: int, content: str, size: int) -> bool:
    """Record that a part is stored. False: it is not expected any more, or has another content with the same MD5."""
    return connection.execute(_ARRIVED, {"of_id": part_id, "arrived": content, "size": size}).rowcount > 0


def remove(connection: Connection, file_id: int) -> None:
    """Delete the parts of a file."""
    connection.execute(_REMOVE, {"of_file": file_id})


def remove_all(connection: Connection, artifact_number: int) -> None:
    """Delete the parts of all files of an artifact."""
    connection.execute(_REMOVE_ALL, {"of_artifact": artifact_number})


def known_blobs(connection: Connection, contents: Sequence[str]) -> set[str]:
    """Which of these digests some part refers to."""
    found = connection.execute(select(part.content).where(part.content.in_(contents))).scalars()
    return {content for content in found if content}
