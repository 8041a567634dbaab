"""Manifests of a part of an artifact: of one process of several (W&B's patches), or of what is new since a version.

A commit makes one whole manifest of them, which stands in their place.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import Refused
from launchd.server.models import Artifact, ArtifactFile, FileSpec
from launchd.server.store.artifacts.files import PARTIAL, check_md5, check_path
from launchd.server.store.database import insert_row
from launchd.server.store.ids import new_id
from launchd.server.store.tables import artifact_files

_MOST = 1000

file = artifact_files.c
_OF_ARTIFACT = (
    select(artifact_files)
    .where(file.artifact_number == bindparam("of_artifact"), file.kind == PARTIAL)
    .order_by(file.id)
)
_ONE = _OF_ARTIFACT.where(file.id == bindparam("of_id"))
_COUNT = select(func.count()).where(file.artifact_number == bindparam("of_artifact"), file.kind == PARTIAL)
_DELETE = delete(artifact_files).where(file.artifact_number == bindparam("of_artifact"), file.kind == PARTIAL)
_ANNOUNCE = update(artifact_files).where(file.id == bindparam("of_id"))


def add(connection: Connection, artifact: Artifact, spec: FileSpec, base_id: str | None) -> ArtifactFile:
    """Add a manifest of a part; ``base_id`` is the id of the version that it adds to, which has to be there.

    Raises:
        Refused: its name or digest is not valid, or the artifact has more of them than any.
    """
    check_path(spec.name)
    check_md5(spec, may_be_empty=True)
    if connection.execute(_COUNT, {"of_artifact": artifact.number}).scalar_one() >= _MOST:
        raise Refused(f"Artifact {artifact.title!r} has {_MOST} manifests already; finish it.")
    row = {
        "artifact_number": artifact.number,
        "kind": PARTIAL,
        "name": f"{spec.name}.{new_id()}",
        "md5": spec.md5,
        "reference": base_id,
    }
    return require(connection, artifact, insert_row(connection, insert(artifact_files), row))


def require(connection: Connection, artifact: Artifact, row_id: int) -> ArtifactFile:
    """Return one of the artifact's manifests of a part.

    Raises:
        Refused: it has none with this id.
    """
    row = connection.execute(_ONE, {"of_artifact": artifact.number, "of_id": row_id}).first()
    if row is None:
        raise Refused(f"Artifact {artifact.title!r} has no such manifest any more.")
    return ArtifactFile(**row._mapping)


def announce(connection: Connection, artifact: Artifact, row_id: int, md5: str) -> ArtifactFile:
    """Set the digest of what will be uploaded.

    Raises:
        Refused: there is no such manifest, or the digest is none.
    """
    found = require(connection, artifact, row_id)
    check_md5(FileSpec(name=found.name, md5=md5))
    if found.md5 != md5:
        connection.execute(_ANNOUNCE, {"of_id": row_id, "md5": md5, "content": None, "size": None})
    return require(connection, artifact, row_id)


def arrived_of(connection: Connection, artifact: Artifact) -> Sequence[ArtifactFile]:
    """Return the manifests that are to be put together, in order; one that was never announced is left out.

    Raises:
        Refused: one was announced and has not arrived.
    """
    rows = connection.execute(_OF_ARTIFACT, {"of_artifact": artifact.number})
    found = [ArtifactFile(**row._mapping) for row in rows if row.md5]
    if any(each.content is None for each in found):
        raise Refused(
            f"A manifest of a part of artifact {artifact.title!r} has not been uploaded, so it cannot be committed."
        )
    return found


def remove_all(connection: Connection, artifact: Artifact) -> None:
    """Remove the artifact's manifests of parts, which a whole one has replaced."""
    connection.execute(_DELETE, {"of_artifact": artifact.number})
