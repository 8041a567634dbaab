"""Files of artifacts: announced, arrived, checked against the manifest. Rows only; blobs are in `files.blob_store`."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from launchd.server.errors import Refused
from launchd.server.models import Artifact, ArtifactFile, FileSpec, ManifestEntry
from launchd.server.store.artifacts import parts as artifact_parts
from launchd.server.store.tables import artifact_collections, artifact_files, artifacts, projects

FILE, REFERENCE, MANIFEST = "file", "reference", "manifest"
MANIFEST_NAME = "wandb_manifest.json"
"""W&B's name of the manifest file."""

_LONGEST_NAME = 1024
_LONGEST_REFERENCE = 10_000
_MD5_BYTES = 16
_BATCH = 10_000

_Stored = Mapping[str, tuple[str | None, int | None]]

file = artifact_files.c
_OF_ARTIFACT = select(artifact_files).where(
    file.artifact_number == bindparam("of_artifact"), file.kind == bindparam("of_kind")
)
_NAMED = _OF_ARTIFACT.where(file.name.in_(bindparam("names", expanding=True)))
_PAGE = (
    select(artifact_files)
    .where(file.artifact_number == bindparam("of_artifact"), file.kind != MANIFEST, file.id > bindparam("after"))
    .order_by(file.id)
    .limit(bindparam("most"))
)
_BY_ID = select(artifact_files).where(file.id == bindparam("of_id"))
_STORED_IN_ENTITY = (
    select(file.md5, func.min(file.content), func.min(file.size))
    .join(artifacts, artifacts.c.number == file.artifact_number)
    .join(artifact_collections, artifact_collections.c.id == artifacts.c.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
    .where(
        projects.c.entity_id == bindparam("of_entity"),
        file.md5.in_(bindparam("md5s", expanding=True)),
        file.content.is_not(None),
    )
    .group_by(file.md5)
)
_BY_DIGEST = _OF_ARTIFACT.where(file.md5 == bindparam("of_md5"), file.content.is_not(None)).limit(1)
_UPDATE = update(artifact_files).where(file.id == bindparam("of_id"))
_DELETE = delete(artifact_files).where(file.id == bindparam("of_id"))
_ARRIVED = _UPDATE.where(file.md5 == bindparam("of_md5"))


def announce(connection: Connection, artifact: Artifact, kind: str, specs: Sequence[FileSpec]) -> list[ArtifactFile]:
    """Rows for files to be uploaded, in the order of `specs`; a blob that the entity has already needs no upload.

    Raises:
        Refused: a name that leaves its directory, or a malformed digest.
    """
    for spec in specs:
        check_path(spec.name)
        _check_md5(spec, may_be_empty=kind == MANIFEST)
    known = _named(connection, artifact, kind, [spec.name for spec in specs])
    stored = _stored(connection, artifact, [spec.md5 for spec in specs])
    _write(connection, artifact, kind, {spec.name: spec for spec in specs}, known, stored)
    rows = _named(connection, artifact, kind, [spec.name for spec in specs])
    return [rows[spec.name] for spec in specs]


def _named(connection: Connection, artifact: Artifact, kind: str, names: Sequence[str]) -> dict[str, ArtifactFile]:
    which = {"of_artifact": artifact.number, "of_kind": kind}
    found = (connection.execute(_NAMED, which | {"names": some}) for some in _batches(names))
    return {row.name: ArtifactFile(**row._mapping) for rows in found for row in rows}


def _stored(connection: Connection, artifact: Artifact, md5s: Sequence[str]) -> _Stored:
    """Digest and size of stored blobs by MD5, of this entity only: a digest must not open another entity's files."""
    which = {"of_entity": artifact.collection.entity_id}
    found = (connection.execute(_STORED_IN_ENTITY, which | {"md5s": some}) for some in _batches(md5s))
    return {md5: (content, size) for rows in found for md5, content, size in rows}


def _batches(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """SQLite takes 32,766 parameters at most."""
    for start in range(0, len(values), _BATCH):
        yield values[start : start + _BATCH]


def _write(
    connection: Connection,
    artifact: Artifact,
    kind: str,
    specs: Mapping[str, FileSpec],
    known: Mapping[str, ArtifactFile],
    stored: _Stored,
) -> None:
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for name, spec in specs.items():
        content, size = stored.get(spec.md5, (None, None))
        values = {"md5": spec.md5, "mimetype": spec.mimetype, "content": content, "size": size}
        if name not in known:
            new.append({"artifact_number": artifact.number, "kind": kind, "name": name, **values})
        elif known[name].md5 != spec.md5:
            changed.append({"of_id": known[name].id, **values})
    for statement, rows in ((insert(artifact_files), new), (_UPDATE, changed)):
        if rows:
            connection.execute(statement, rows)


def find_file(connection: Connection, file_id: int) -> ArtifactFile | None:
    """The file with this id. Rights were checked when the id was given out."""
    row = connection.execute(_BY_ID, {"of_id": file_id}).first()
    return ArtifactFile(**row._mapping) if row else None


def by_digest(connection: Connection, artifact: Artifact, md5: str) -> ArtifactFile | None:
    """A file of the artifact that has arrived with this MD5 in base64."""
    values = {"of_artifact": artifact.number, "of_kind": FILE, "of_md5": md5}
    row = connection.execute(_BY_DIGEST, values).first()
    return ArtifactFile(**row._mapping) if row else None


def manifest_of(connection: Connection, artifact: Artifact) -> ArtifactFile | None:
    """The manifest, announced or arrived."""
    row = connection.execute(_OF_ARTIFACT, {"of_artifact": artifact.number, "of_kind": MANIFEST}).first()
    return ArtifactFile(**row._mapping) if row else None


def page_of_files(
    connection: Connection, artifact: Artifact, after: int, limit: int, names: Sequence[str] | None
) -> list[ArtifactFile]:
    """Files and references whose id is above `after`; only those of `names` where given."""
    page = _PAGE if names is None else _PAGE.where(file.name.in_(names))
    which = {"of_artifact": artifact.number, "after": after, "most": limit}
    return [ArtifactFile(**row._mapping) for row in connection.execute(page, which)]


def arrived(connection: Connection, found: ArtifactFile, content: str, size: int) -> bool:
    """Record that a file is stored. False: the file is gone, or was announced again with another content."""
    values = {"of_id": found.id, "of_md5": found.md5, "content": content, "size": size}
    kept = connection.execute(_ARRIVED, values).rowcount > 0
    if kept:
        artifact_parts.remove(connection, found.id)
    return kept


def known_blobs(connection: Connection, contents: Sequence[str]) -> set[str]:
    """Which of these digests some file or part refers to."""
    found = connection.execute(select(file.content).where(file.content.in_(contents))).scalars()
    return {content for content in found if content} | artifact_parts.known_blobs(connection, contents)


def match_manifest(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> int:
    """Make the artifact's files exactly those of its manifest. Returns their size in bytes, with references.

    Raises:
        Refused: one of them has not arrived, or is not what the manifest says.
    """
    _match_files(connection, artifact, [entry for entry in entries if entry.reference is None])
    _add_references(connection, artifact, [entry for entry in entries if entry.reference is not None])
    artifact_parts.remove_all(connection, artifact.number)
    return sum(entry.size for entry in entries)


def _match_files(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> None:
    announce(connection, artifact, FILE, [FileSpec(name=entry.name, md5=entry.md5) for entry in entries])
    which = {"of_artifact": artifact.number, "of_kind": FILE}
    files = {row.name: ArtifactFile(**row._mapping) for row in connection.execute(_OF_ARTIFACT, which)}
    for entry in entries:
        _compare(entry, files)
    extra = [{"of_id": files[name].id} for name in files.keys() - {entry.name for entry in entries}]
    if extra:
        connection.execute(_DELETE, extra)


def _add_references(connection: Connection, artifact: Artifact, entries: Sequence[ManifestEntry]) -> None:
    """Add references as rows, because clients download what the version's list of files contains."""
    for entry in entries:
        check_path(entry.name)
        _check_reference(entry)
    same = {"artifact_number": artifact.number, "kind": REFERENCE}
    rows = [
        {**same, "name": entry.name, "md5": entry.md5, "size": entry.size, "reference": entry.reference}
        for entry in entries
    ]
    if rows:
        connection.execute(insert(artifact_files), rows)


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


def check_path(name: str) -> None:
    """Check the name of a file inside an artifact.

    Raises:
        Refused: empty, too long, absolute, or leaving the directory that it will be unpacked in.
    """
    parts = name.replace("\\", "/").split("/")
    if not 0 < len(name) <= _LONGEST_NAME or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise Refused(f"{name[:100]!r} is no name for a file in an artifact: a relative path without '..' is needed.")


def _check_md5(spec: FileSpec, *, may_be_empty: bool) -> None:
    if may_be_empty and not spec.md5:
        return
    for md5 in (spec.md5, *spec.parts):
        try:
            length = len(base64.b64decode(md5, validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if length != _MD5_BYTES:
            raise Refused(f"{md5[:60]!r}, given for {spec.name[:100]!r}, is no MD5 in base64.")
