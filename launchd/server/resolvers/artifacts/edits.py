"""Changing and deleting versions and collections of artifacts."""

from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.models import Artifact, Collection, Viewer
from launchd.server.resolvers.artifacts.nodes import tag_nodes
from launchd.server.store.artifacts import artifacts, collections
from launchd.server.store.artifacts import edits as artifact_edits

mutation = MutationType()
bindables = [mutation]


@mutation.field("updateArtifact")
async def update(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> Artifact:
        found = artifacts.require_artifact(connection, context.viewer, input["artifact_id"])
        artifact_edits.edit(connection, found, input)
        return artifacts.require_artifact(connection, context.viewer, input["artifact_id"])

    return {"artifact": await context.write(work)}


@mutation.field("deleteArtifact")
async def delete(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> Artifact:
        found = artifacts.require_artifact(connection, context.viewer, input["artifact_id"])
        artifact_edits.delete_version(connection, found, with_aliases=bool(input.get("delete_aliases")))
        return artifacts.require_artifact(connection, context.viewer, input["artifact_id"])

    deleted = await context.write(work)
    await remove_files(context)
    return {"artifact": deleted}


async def remove_files(context: Context) -> None:
    """Remove the rows of files of deleted versions; others write in between."""
    while await context.write(artifact_edits.remove_some_files):
        pass


@mutation.field("updateArtifactSequence")
async def update_collection(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    changes = {key: input[key] for key in ("name", "description") if input.get(key) is not None}
    return {"artifact_collection": await _edit(info, input["artifact_sequence_id"], changes)}


@mutation.field("updateArtifactPortfolio")
async def update_portfolio(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    changes = {key: input[key] for key in ("name", "description") if input.get(key) is not None}
    return {"artifact_collection": await _edit(info, input["artifact_portfolio_id"], changes, is_portfolio=True)}


@mutation.field("moveArtifactSequence")
async def move_collection(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    changes = {"type": input["destination_artifact_type_name"]}
    return {"artifact_collection": await _edit(info, input["artifact_sequence_id"], changes)}


async def _edit(info: Info, collection_id: str, changes: dict[str, Any], *, is_portfolio: bool = False) -> Collection:
    context = info.context

    def work(connection: Connection) -> Collection:
        found = collections.require_kind(connection, context.viewer, collection_id, is_portfolio=is_portfolio)
        return collections.edit(connection, found, changes)

    return await context.write(work)


@mutation.field("deleteArtifactSequence")
async def delete_sequence(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    return {"artifact_collection": await _delete(info, input["artifact_sequence_id"], is_portfolio=False)}


@mutation.field("deleteArtifactPortfolio")
async def delete_portfolio(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    return {"artifact_collection": await _delete(info, input["artifact_portfolio_id"], is_portfolio=True)}


async def _delete(info: Info, collection_id: str, *, is_portfolio: bool) -> Collection | None:
    """Delete it; None where that was done before."""
    context = info.context

    def begin(connection: Connection) -> None:
        found = collections.require_kind(connection, context.viewer, collection_id, is_portfolio=is_portfolio)
        artifact_edits.delete_versions(connection, found)

    def finish(connection: Connection) -> Collection:
        found = collections.require_kind(connection, context.viewer, collection_id, is_portfolio=is_portfolio)
        return artifact_edits.delete_collection(connection, found)

    if await context.read(collections.is_gone, collection_id):
        return None
    await context.write(begin)
    await remove_files(context)
    return await context.write(finish)


@mutation.field("createArtifactCollectionTagAssignments")
async def add_tags(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    tags = [tag["tag_name"] for tag in input["tags"]]

    def work(connection: Connection) -> Collection:
        return collections.add_tags(connection, _named(connection, info.context.viewer, input), tags)

    found = await info.context.write(work)
    return {"tags": tag_nodes(collections.KIND, found.id, found.tags)}


@mutation.field("deleteArtifactCollectionTagAssignments")
async def remove_tags(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    tags = [tag["tag_name"] for tag in input["tags"]]

    def work(connection: Connection) -> None:
        collections.remove_tags(connection, _named(connection, info.context.viewer, input), tags)

    await info.context.write(work)
    return {"success": True}


def _named(connection: Connection, viewer: Viewer, input: dict[str, Any]) -> Collection:
    names = (input["entity_name"], input["project_name"], input["artifact_collection_name"])
    return collections.require_by_names(connection, viewer, *names)
