"""Files of artifacts: announced, arrived, found. Rows only; blobs are in `files.blob_store`."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, bindparam, exists, func, insert, or_, select, update

from launchd.server.errors import Refused
from launchd.server.models import Artifact, ArtifactFile, FileSpec, LinkHolder
from launchd.server.store.accounts.link_holders import holder_binds, holder_may
from launchd.server.store.artifacts import parts as artifact_parts
from launchd.server.store.artifacts.artifacts import DELETED, PENDING
from launchd.server.store.artifacts.stored import Stored, StoredContent, batches
from launchd.server.store.tables import artifact_collections, artifact_files, artifacts, projects

FILE, REFERENCE, MANIFEST, PARTIAL = "file", "reference", "manifest", "partial"
MANIFESTS = (MANIFEST, PARTIAL)
MANIFEST_NAME = "wandb_manifest.json"
"""W&B's name of the manifest file."""

_LONGEST_NAME = 1024
# C0, DEL and C1; line and paragraph separator; marks, embeddings, overrides and isolates of the direction of writing.
_UNFIT = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MD5_BYTES = 16
_MISSING = StoredContent(None, None, None)

file = artifact_files.c
_OF_ARTIFACT = select(artifact_files).where(
    file.artifact_number == bindparam("of_artifact"), file.kind == bindparam("of_kind")
)
_NAMED = _OF_ARTIFACT.where(file.name.in_(bindparam("names", expanding=True)))
_PAGE = (
    select(artifact_files)
    .where(file.artifact_number == bindparam("of_artifact"), file.kind.not_in(MANIFESTS), file.id > bindparam("after"))
    .order_by(file.id)
    .limit(bindparam("most"))
)
_BY_ID = select(artifact_files).where(file.id == bindparam("of_id"))
_LINKED = (
    _BY_ID.join(artifacts, artifacts.c.number == file.artifact_number)
    .join(artifact_collections, artifact_collections.c.id == artifacts.c.collection_id)
    .join(projects, projects.c.id == artifact_collections.c.project_id)
    .where(holder_may(projects.c.entity_id), artifacts.c.state != DELETED)
)
_BY_DIGEST = _OF_ARTIFACT.where(file.md5 == bindparam("of_md5"), file.content.is_not(None)).order_by(file.id)
_UPDATE = update(artifact_files).where(file.id == bindparam("of_id"))
_IS_PENDING = exists().where(artifacts.c.number == file.artifact_number, artifacts.c.state == PENDING)
_ARRIVED = _UPDATE.where(
    file.md5 == bindparam("of_md5"),
    # Nothing replaces a content, not even another one with the same MD5.
    or_(file.content == bindparam("arrived"), and_(file.content.is_(None), _IS_PENDING)),
).values(content=bindparam("arrived"), uploader_id=func.coalesce(file.uploader_id, bindparam("by")))


def announce(
    connection: Connection, artifact: Artifact, kind: str, specs: Sequence[FileSpec], stored: Stored
) -> list[ArtifactFile]:
    """Rows for files to be uploaded, in the order of `specs`; what is `stored` needs no upload.

    Raises:
        Refused: a name that leaves its directory or cannot be shown, or a malformed digest.
    """
    for spec in specs:
        check_path(spec.name)
        check_md5(spec, may_be_empty=kind == MANIFEST)
    names = [spec.name for spec in specs]
    known = _named(connection, artifact, kind, names)
    _write(connection, artifact, kind, {spec.name: spec for spec in specs}, known, stored)
    rows = _named(connection, artifact, kind, names)
    return [rows[name] for name in names]


def _named(connection: Connection, artifact: Artifact, kind: str, names: Sequence[str]) -> dict[str, ArtifactFile]:
    which = {"of_artifact": artifact.number, "of_kind": kind}
    found = (connection.execute(_NAMED, which | {"names": some}) for some in batches(names))
    return {row.name: ArtifactFile(**row._mapping) for rows in found for row in rows}


def _write(
    connection: Connection,
    artifact: Artifact,
    kind: str,
    specs: Mapping[str, FileSpec],
    known: Mapping[str, ArtifactFile],
    stored: Stored,
) -> None:
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for name, spec in specs.items():
        if name not in known:
            same = {"artifact_number": artifact.number, "kind": kind, "name": name}
            new.append(same | _values(spec, stored))
        elif known[name].md5 != spec.md5:
            changed.append({"of_id": known[name].id, **_values(spec, stored)})
    for statement, rows in ((insert(artifact_files), new), (_UPDATE, changed)):
        if rows:
            connection.execute(statement, rows)


def _values(spec: FileSpec, stored: Stored) -> dict[str, Any]:
    content = stored.get(spec.md5, _MISSING)
    return {"md5": spec.md5, "mimetype": spec.mimetype, **msgspec.structs.asdict(content)}


def linked_file(connection: Connection, holder: LinkHolder, file_id: int) -> ArtifactFile | None:
    """The file of a link, if who got the link may still use it so."""
    row = connection.execute(_LINKED, {"of_id": file_id, **holder_binds(holder)}).first()
    return ArtifactFile(**row._mapping) if row else None


def find_file(connection: Connection, file_id: int) -> ArtifactFile | None:
    """The file with this id, without a check of rights: the caller checks those to its artifact."""
    row = connection.execute(_BY_ID, {"of_id": file_id}).first()
    return ArtifactFile(**row._mapping) if row else None


def by_digest(connection: Connection, artifact: Artifact, md5: str, name: str | None) -> ArtifactFile | None:
    """A file of the artifact that has arrived with this MD5 in base64; where several contents have it, by its name."""
    values = {"of_artifact": artifact.number, "of_kind": FILE, "of_md5": md5}
    found = [ArtifactFile(**row._mapping) for row in connection.execute(_BY_DIGEST, values)]
    if len({each.content for each in found}) > 1:
        found = [each for each in found if each.name == name]
    return found[0] if found else None


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


def arrived(connection: Connection, found: ArtifactFile, content: str, size: int, uploader_id: int) -> bool:
    """Record that a file is stored. False: it is gone or committed, was announced again, or has another content."""
    values = {"of_id": found.id, "of_md5": found.md5, "arrived": content, "size": size, "by": uploader_id}
    kept = connection.execute(_ARRIVED, values).rowcount > 0
    if kept:
        artifact_parts.remove(connection, found.id)
    return kept


def known_blobs(connection: Connection, contents: Sequence[str]) -> set[str]:
    """Which of these digests some file or part refers to."""
    found = connection.execute(select(file.content).where(file.content.in_(contents))).scalars()
    return {content for content in found if content} | artifact_parts.known_blobs(connection, contents)


def check_path(name: str) -> None:
    """Check the name of a file inside an artifact.

    Raises:
        Refused: empty, too long, absolute, leaving the directory that it will be unpacked in, or not to be shown in one
            line as it is.
    """
    parts = name.replace("\\", "/").split("/")
    if not 0 < len(name) <= _LONGEST_NAME or any(part in ("", ".", "..") for part in parts):
        raise Refused(f"{name[:100]!r} is no name for a file here: a relative path without '..' is needed.")
    if _UNFIT.search(name):
        raise Refused(
            f"{name[:100]!a} is no name for a file here: it has a control character, a line break, or a sign that turns"
            " the direction of writing."
        )


def check_md5(spec: FileSpec, *, may_be_empty: bool = False) -> None:
    """Check the digests of a file and of its parts.

    Raises:
        Refused: one of them is no MD5 in base64.
    """
    if may_be_empty and not spec.md5:
        return
    for md5 in (spec.md5, *spec.parts):
        try:
            length = len(base64.b64decode(md5, validate=True))
        except (binascii.Error, ValueError):
            length = 0
        if length != _MD5_BYTES:
            raise Refused(f"{md5[:60]!r}, given for {spec.name[:100]!r}, is no MD5 in base64.")
