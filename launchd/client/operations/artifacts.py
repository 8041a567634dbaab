"""Artifacts and their files."""

from typing import Any

from launchd.client.operations.operation import IN_PROJECT, PROJECT, Root, mutation, query
from launchd.client.responses import (
    ArtifactFiles,
    CommittedArtifact,
    CreatedArtifact,
    CreatedFiles,
    CreatedManifest,
    FoundVersion,
    ProjectArtifactType,
)

CREATE_ARTIFACT: Root[CreatedArtifact] = mutation(
    "CreateArtifact",
    "$input: CreateArtifactInput!",
    "createArtifact(input: $input) { artifact { id state artifactSequence { latestArtifact { id } } } }",
    CreatedArtifact,
)

CREATE_MANIFEST: Root[CreatedManifest] = mutation(
    "CreateArtifactManifest",
    "$input: CreateArtifactManifestInput!, $includeUpload: Boolean!",
    "createArtifactManifest(input: $input) { artifactManifest { id file { id"
    " uploadUrl @include(if: $includeUpload) uploadHeaders @include(if: $includeUpload) } } }",
    CreatedManifest,
)

CREATE_FILES: Root[CreatedFiles] = mutation(
    "CreateArtifactFiles",
    "$input: CreateArtifactFilesInput!",
    "createArtifactFiles(input: $input) { files { edges { node { uploadUrl uploadHeaders } } } }",
    CreatedFiles,
)

COMMIT_ARTIFACT: Root[CommittedArtifact] = mutation(
    "CommitArtifact", "$id: ID!", "commitArtifact(input: { artifactID: $id }) { artifact { id } }", CommittedArtifact
)

ARTIFACT_FILES: Root[ArtifactFiles | None] = query(
    "ArtifactFiles",
    "$id: ID!, $after: String, $first: Int",
    "artifact(id: $id) { metadata files(after: $after, first: $first)"
    " { edges { node { name directUrl digest sizeBytes } } pageInfo { hasNextPage endCursor } } }",
    ArtifactFiles | None,
)

_VERSION = (
    "id state versionIndex description metadata createdAt artifactType { name } artifactSequence { id name }"
    " aliases { alias }"
)

ARTIFACT_BY_NAME: Root[FoundVersion | None] = query(
    "ArtifactByName",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ artifact(name: $name) {{ {_VERSION} }} }}",
    FoundVersion | None,
)

# For current servers; it also finds artifacts that are linked from another collection.
MEMBERSHIP_BY_NAME: Root[FoundVersion | None] = query(
    "ArtifactMembershipByName",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ artifactCollectionMembership(name: $name) {{ artifact {{ {_VERSION} }} }} }}",
    FoundVersion | None,
)

ARTIFACTS_OF_TYPE: Root[ProjectArtifactType | None] = query(
    "ArtifactOfType",
    f"{PROJECT}, $type: String!, $after: String",
    f"{IN_PROJECT} {{ artifactType(name: $type) {{ artifactCollections(after: $after) {{ edges {{ node {{"
    f" artifacts {{ edges {{ node {{ {_VERSION} }} }} }} }} }} pageInfo {{ hasNextPage endCursor }} }} }} }}",
    ProjectArtifactType | None,
)

DELETE_VERSION: Root[Any] = mutation(
    "DeleteArtifact",
    "$id: ID!",
    "deleteArtifact(input: { artifactID: $id deleteAliases: true }) { artifact { id } }",
    Any,
)

DELETE_COLLECTION: Root[Any] = mutation(
    "DeleteArtifactSequence",
    "$id: ID!",
    "deleteArtifactSequence(input: { artifactSequenceID: $id }) { artifactCollection { id } }",
    Any,
)
