"""Versions of artifacts and stored files as a server tells them, frozen.

Owns names and nullability on the wire. No behaviour, no I/O.
"""

import msgspec


class Name(msgspec.Struct, frozen=True):
    """What else belongs to a version, by its name."""

    name: str = ""


class Alias(msgspec.Struct, frozen=True):
    """A word that stands for a version, `v0` and the like among them."""

    alias: str


class ArtifactVersion(msgspec.Struct, frozen=True, rename="camel"):
    """A version of an artifact. `state` is PENDING, COMMITTED or DELETED; `artifact_sequence` is its collection."""

    id: str
    state: str = ""
    version_index: int | None = None
    description: str | None = None
    metadata: str | None = None
    created_at: str | None = None
    artifact_type: Name = Name()
    artifact_sequence: Name = Name()
    aliases: tuple[Alias, ...] = ()


class CollectedGarbage(msgspec.Struct, frozen=True, rename="camel"):
    """What a collection of garbage removed, and how many bytes are left. Native."""

    removed_files: int = 0
    removed_bytes: int = 0
    used_bytes: int = 0
