"""Records of artifacts, their collections and files."""

from launchd.server.models.base import Record


class Collection(Record, frozen=True, kw_only=True):
    """Versions under one name: all that were logged to it (W&B's artifact sequence), or linked to it (a portfolio)."""

    id: int
    project_id: int
    entity_id: int
    type: str
    name: str
    description: str | None
    tags: list[str]
    created_at: float | None
    updated_at: float | None
    is_portfolio: bool = False
    deleted: bool = False
    """Only in the response to its deletion."""


class Artifact(Record, frozen=True, kw_only=True):
    """A version of an artifact, with its collection."""

    number: int
    collection: Collection
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
    history_step: int | None
    ttl_seconds: int | None

    @property
    def title(self) -> str:
        """Its name in messages: `name:v3`, or the name alone while it has no version."""
        return self.collection.name if self.version_index is None else f"{self.collection.name}:v{self.version_index}"

    @property
    def membership(self) -> "ArtifactMembership":
        """The membership in the collection that it was logged to."""
        return ArtifactMembership(
            collection=self.collection,
            artifact=self,
            version_index=self.version_index,
            created_at=self.created_at,
        )


class ArtifactMembership(Record, frozen=True, kw_only=True):
    """The membership of a version in a collection: the one it was logged to, or a portfolio it is linked to.

    `version_index` is its number in that collection; None while it is not committed.
    """

    collection: Collection
    artifact: Artifact
    version_index: int | None
    created_at: float


class ArtifactTypeRecord(Record, frozen=True, kw_only=True):
    """A type of artifacts in a project; it exists while a collection has it."""

    project_id: int
    name: str
    created_at: float | None


class ArtifactFile(Record, frozen=True, kw_only=True):
    """A file of an artifact, or its manifest. `content` is the SHA-256 of the stored blob, None until it has arrived.

    `uploader_id` is the user who uploaded it, None while it is missing or where that is not known.
    `reference` is the address of a file stored elsewhere; such a file never arrives.
    """

    id: int
    artifact_number: int
    kind: str
    name: str
    md5: str
    mimetype: str | None
    content: str | None
    size: int | None
    reference: str | None
    uploader_id: int | None


class FilePart(Record, frozen=True, kw_only=True):
    """A part of a file; parts count from 1. `md5` is base64, `content` as in `ArtifactFile`."""

    id: int
    file_id: int
    number: int
    md5: str
    content: str | None
    size: int | None


class FileSpec(Record, frozen=True, kw_only=True):
    """A file that a client will upload. `md5` is base64; so are `parts`, the digests of its parts in order."""

    name: str
    md5: str
    mimetype: str | None = None
    parts: tuple[str, ...] = ()


class ManifestEntry(Record, frozen=True, kw_only=True):
    """A file in a manifest. `md5` of a `reference`, a file that is stored elsewhere, may be any text."""

    name: str
    md5: str
    size: int
    reference: str | None = None
