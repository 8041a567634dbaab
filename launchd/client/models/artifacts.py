"""Versions of artifacts."""

import msgspec


class Name(msgspec.Struct, frozen=True):
    """The name of an object that belongs to a version, such as its type or collection, and of the latter the id."""

    name: str = ""
    id: str = ""


class Alias(msgspec.Struct, frozen=True):
    """An alias of a version; `v0` and the like are aliases too."""

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
