"""Artifacts and their files."""

from launchd.server.store.records.base import Record


class Artifact(Record, frozen=True, kw_only=True):
    """A version of an artifact, with its collection."""

    number: int
    collection_id: int
    collection_name: str
    type: str
    project_id: int
    entity_id: int
    state: str
    digest: str
    digest_algorithm: str
    description: str | None
    metadata: str | None
    tags: list[str]
    version_index: int | None
    size: int
    file_count: int
    created_at: float
    updated_at: float


class ArtifactFile(Record, frozen=True, kw_only=True):
    """A file of an artifact, or its manifest; `content` is the SHA-256 of what is stored, None until it has arrived."""

    id: int
    artifact_number: int
    kind: str
    name: str
    md5: str
    mimetype: str | None
    content: str | None
    size: int | None


class FileSpec(Record, frozen=True, kw_only=True):
    """A file that a client is going to upload. `md5` is base64."""

    name: str
    md5: str
    mimetype: str | None = None


class ManifestEntry(Record, frozen=True, kw_only=True):
    """What a manifest says of one file."""

    name: str
    md5: str
    size: int
