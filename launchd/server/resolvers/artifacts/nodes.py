"""GraphQL nodes of artifacts that are no rows of the store: files with their links, aliases, tags."""

from collections.abc import Sequence
from typing import Any

from launchd.server.context import Info
from launchd.server.files.signed_urls import DOWNLOAD, UPLOAD
from launchd.server.models import Artifact, ArtifactFile, ArtifactMembership, Collection
from launchd.server.resolvers.pagination import connection_of, size_of, start_of
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import artifacts
from launchd.server.store.artifacts import files as artifact_files
from launchd.server.store.artifacts.files import MANIFESTS, PARTIAL
from launchd.server.store.ids import storage_id

_FILES = 1000


def file_node(info: Info, row: ArtifactFile, of: Artifact | None = None) -> dict[str, Any]:
    """A `File`, without a link to upload it: see `upload_node`.

    Its links are permissions, so it is made only for viewers who may use the artifact.
    """
    direct_url = _download_url(info, row)
    return {
        "id": str(row.id),
        "name": row.name,
        "display_name": row.name,
        "storage_path": f"{row.artifact_number}/{row.id}",
        "digest": row.md5,
        "md5": row.md5,
        "mimetype": row.mimetype,
        "size_bytes": row.size,
        "updated_at": of.updated_at if of else None,
        "direct_url": direct_url,
        "url": lambda info, upload=False: None if upload else direct_url,
        "upload_url": None,
        "upload_headers": [],
        "upload_multipart_urls": None,
        "artifact": of,
    }


def upload_node(info: Info, row: ArtifactFile, of: Artifact | None = None) -> dict[str, Any]:
    """As `file_node`, with a link to upload the file while it is missing: in responses to those who announce it.

    W&B's core has to upload every manifest; one that is there already is taken again.
    """
    is_reference = row.reference is not None and row.kind != PARTIAL
    is_wanted = row.md5 and not is_reference and (row.content is None or row.kind in MANIFESTS)
    return file_node(info, row, of) | {"upload_url": info.context.link(UPLOAD, row.id) if is_wanted else None}


def _download_url(info: Info, row: ArtifactFile) -> str | None:
    """None where there is nothing to download."""
    if row.content is None:
        return row.reference
    return info.context.link(DOWNLOAD, row.id)


def manifest_node(row: ArtifactFile, file: dict[str, Any]) -> dict[str, Any]:
    """An `ArtifactManifest`; `file` is the `File` of the row."""
    part = (row.id,) if row.kind == PARTIAL else ()
    return {"id": storage_id("ArtifactManifest", row.artifact_number, *part), "file": file}


async def files_of(
    info: Info, found: Artifact, first: int | None, after: str | None, names: Sequence[str] | None
) -> dict[str, Any]:
    """A page of the files of a version."""
    size, start = size_of(first, _FILES), start_of(after, 0)
    rows = await info.context.read(artifact_files.page_of_files, found, start, size + 1, names)
    total = found.file_count if names is None else None
    return connection_of(rows, size, lambda row: file_node(info, row, found), lambda row: row.id, total)


async def alias_nodes(info: Info, found: Artifact, members: Sequence[ArtifactMembership]) -> list[dict[str, Any]]:
    """The `ArtifactAlias`es of a version in its collections; the last of each collection is its number."""
    given = await info.context.read(artifact_aliases.aliases_of, found.number)
    return [node for member in members for node in _alias_nodes_of(member, given.get(member.collection.id, []))]


def _alias_nodes_of(member: ArtifactMembership, given: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    nodes = [alias_node(member.collection, str(alias_id), name) for alias_id, name in given]
    if member.version_index is not None and member.artifact.state == artifacts.COMMITTED:
        name = f"v{member.version_index}"
        alias_id = storage_id("ArtifactAlias", member.collection.id, member.artifact.number, name)
        nodes.append(alias_node(member.collection, alias_id, name))
    return nodes


def alias_node(collection: Collection, alias_id: str, name: str) -> dict[str, Any]:
    """An `ArtifactAlias`."""
    return {"id": alias_id, "alias": name, "artifact_collection": collection}


def tag_nodes(owner: str, number: int, names: Sequence[str]) -> list[dict[str, Any]]:
    """The `Tag`s of an object."""
    return [{"id": storage_id("Tag", owner, number, name), "name": name} for name in names]
