"""Artifacts and their files."""

from launchd.client.answers import ArtifactFiles, CreatedArtifact, CreatedFiles, CreatedManifest
from launchd.client.documents.operation import Root, mutation, query

CREATE_ARTIFACT: Root[CreatedArtifact] = mutation(
    "CreateArtifact",
    "$input: CreateArtifactInput!",
    "createArtifact(input: $input) { artifact { id state } }",
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

COMMIT_ARTIFACT: Root[CreatedArtifact] = mutation(
    "CommitArtifact", "$id: ID!", "commitArtifact(input: { artifactID: $id }) { artifact { id } }", CreatedArtifact
)

ARTIFACT_FILES: Root[ArtifactFiles | None] = query(
    "ArtifactFiles",
    "$id: ID!, $after: String, $first: Int",
    "artifact(id: $id) { metadata files(after: $after, first: $first)"
    " { edges { node { name directUrl digest sizeBytes } } pageInfo { hasNextPage endCursor } } }",
    ArtifactFiles | None,
)
