"""Making a pending artifact's files those of its manifest, a few at a time, so that others write in between.

Each change of a pending artifact touches it (`logging.touch`). So each piece finds it as the one before has left it, or
refuses.
"""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from launchd.server.errors import Refused
from launchd.server.models import Artifact, ArtifactFile, FileSpec, ManifestEntry
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts import parts as artifact_parts
from launchd.server.store.artifacts import stored as artifact_stored
from launchd.server.store.artifacts.files import FILE, MANIFEST, REFERENCE, check_path
from launchd.server.store.tables import artifact_files as files_table

_LONGEST_REFERENCE = 10_000

file = files_table.c
_OF_ARTIFACT = file.artifact_number == bindparam("of_artifact")
_REFERENCES = delete(files_table).where(
    _OF_ARTIFACT, file.kind == REFERENCE, file.name.in_(bindparam("names", expanding=True))
)
_DELETE = delete(files_table).where(_OF_ARTIFACT, file.id.in_(bindparam("ids", expanding=True)))
_COUNT = select(func.count()).where(_OF_ARTIFACT, file.kind != MANIFEST)
_NAMES = select(file.id, file.name, file.kind).where(_OF_ARTIFACT, file.kind != MANIFEST)


def match(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> None:
    """Make some files and references of the artifact those of its manifest.

    Raises:
        Refused: one of them has not arrived, or is not what the manifest says.
    """
    _match_files(connection, artifact, [entry for entry in entries if entry.reference is None])
    _add_references(connection, artifact, [entry for entry in entries if entry.reference is not None])


def _match_files(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> None:
    specs = [FileSpec(name=entry.name, md5=entry.md5) for entry in entries]
    stored = artifact_stored.of_versions(connection, artifact, [spec.md5 for spec in specs])
    rows = artifact_files.announce(connection, artifact, FILE, specs, stored)
    files = {row.name: row for row in rows}
    for entry in entries:
        _compare(entry, files)


def _add_references(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> None:
    """Add references as rows, because clients download what the version's list of files contains."""
    for entry in entries:
        check_path(entry.name)
        _check_reference(entry)
    if not entries:
        return
    # Those of a commit that was begun and not finished.
    names = [entry.name for entry in entries]
    connection.execute(_REFERENCES, {"of_artifact": artifact.number, "names": names})
    same = {"artifact_number": artifact.number, "kind": REFERENCE}
    rows = [
        {**same, "name": entry.name, "md5": entry.md5, "size": entry.size, "reference": entry.reference}
        for entry in entries
    ]
    connection.execute(insert(files_table), rows)


def _check_reference(entry: ManifestEntry) -> None:
    for text in (entry.reference or "", entry.md5):
        if len(text) > _LONGEST_REFERENCE or "\0" in text:
            raise Refused(f"The reference {entry.name!r} of the manifest is longer than any, or has a NUL character.")
    if entry.size < 0:
        raise Refused(f"The reference {entry.name!r} of the manifest has {entry.size} bytes.")


def _compare(entry: ManifestEntry, files: Mapping[str, ArtifactFile]) -> None:
    found = files[entry.name]
    if found.content is None:
        raise Refused(f"File {entry.name!r} of the artifact has not been uploaded, so it cannot be committed.")
    if found.size != entry.size:
        raise Refused(f"File {entry.name!r} has {found.size} bytes, but {entry.size} according to the manifest.")


def extra_files(connection: Connection, artifact: Artifact, wanted: Collection[tuple[str, str]]) -> list[int]:
    """Ids of the artifact's files that are none of these, each a kind and a name."""
    rows = connection.execute(_NAMES, {"of_artifact": artifact.number})
    return [row.id for row in rows if (row.kind, row.name) not in wanted]


def remove_files(connection: Connection, artifact: Artifact, ids: Sequence[int]) -> None:
    """Remove some files of the artifact."""
    connection.execute(_DELETE, {"of_artifact": artifact.number, "ids": list(ids)})


def finish(connection: Connection, artifact: Artifact, entries: int) -> None:
    """End the matching.

    Raises:
        Refused: the artifact has not as many files as its manifest has entries.
    """
    found = connection.execute(_COUNT, {"of_artifact": artifact.number}).scalar_one()
    if found != entries:
        raise Refused(f"Artifact {artifact.title!r} has {found} files, but {entries} according to its manifest.")
    artifact_parts.remove_all(connection, artifact.number)
