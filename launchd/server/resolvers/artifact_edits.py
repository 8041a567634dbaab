"""Changing and deleting versions and collections of artifacts."""

from collections.abc import Sequence
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.records import Artifact, Collection, Viewer
from launchd.server.resolvers.artifact_nodes import tag_nodes
from launchd.server.store import artifact_aliases, artifact_edits, artifacts
from launchd.server.store import artifact_collections as collections

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

    return {"artifact": await context.write(work)}


@mutation.field("addAliases")
async def add_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def work(connection: Connection) -> None:
        found, words = _aliased(connection, info.context.viewer, input)
        if found.state != artifacts.COMMITTED:
            raise Refused(f"Artifact {found.title!r} is {found.state}, so no alias can stand for it.")
        artifact_aliases.move(connection, found, words)

    await info.context.write(work)
    return {"success": True}


@mutation.field("deleteAliases")
async def delete_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def work(connection: Connection) -> None:
        artifact_aliases.remove(connection, *_aliased(connection, info.context.viewer, input))

    await info.context.write(work)
    return {"success": True}


def _aliased(connection: Connection, viewer: Viewer, input: dict[str, Any]) -> tuple[Artifact, Sequence[str]]:
    """The version, and its wanted aliases; they can only be of its own collection."""
    found = artifacts.require_artifact(connection, viewer, input["artifact_id"])
    for wish in input["aliases"]:
        if wish["artifact_collection_name"] != found.collection.name:
            other = wish["artifact_collection_name"][:100]
            raise Refused(f"Artifact {found.title!r} is no version of {other!r}, so no alias there can stand for it.")
    return found, list(dict.fromkeys(wish["alias"] for wish in input["aliases"]))


@mutation.field("updateArtifactSequence")
async def update_collection(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    changes = {key: input[key] for key in ("name", "description") if input.get(key) is not None}
    return {"artifact_collection": await _edit(info, input["artifact_sequence_id"], changes)}


@mutation.field("moveArtifactSequence")
async def move_collection(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    changes = {"type": input["destination_artifact_type_name"]}
    return {"artifact_collection": await _edit(info, input["artifact_sequence_id"], changes)}


async def _edit(info: Info, collection_id: str, changes: dict[str, Any]) -> Collection:
    context = info.context

    def work(connection: Connection) -> Collection:
        found = collections.require_collection(connection, context.viewer, collection_id)
        return collections.edit(connection, found, changes)

    return await context.write(work)


@mutation.field("deleteArtifactSequence")
async def delete_collection(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> Collection:
        found = collections.require_collection(connection, context.viewer, input["artifact_sequence_id"])
        return artifact_edits.delete_collection(connection, found)

    return {"artifact_collection": await context.write(work)}


@mutation.field("createArtifactCollectionTagAssignments")
async def add_tags(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    words = [tag["tag_name"] for tag in input["tags"]]

    def work(connection: Connection) -> Collection:
        return collections.add_tags(connection, _named(connection, info.context.viewer, input), words)

    found = await info.context.write(work)
    return {"tags": tag_nodes(collections.KIND, found.id, found.tags)}


@mutation.field("deleteArtifactCollectionTagAssignments")
async def remove_tags(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    words = [tag["tag_name"] for tag in input["tags"]]

    def work(connection: Connection) -> None:
        collections.remove_tags(connection, _named(connection, info.context.viewer, input), words)

    await info.context.write(work)
    return {"success": True}


def _named(connection: Connection, viewer: Viewer, input: dict[str, Any]) -> Collection:
    names = (input["entity_name"], input["project_name"], input["artifact_collection_name"])
    return collections.require_by_names(connection, viewer, *names)


@mutation.field("linkArtifact")
def link(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    raise Refused("This server keeps no portfolios and no registry, so an artifact cannot be linked to one.")


@mutation.field("unlinkArtifact")
def unlink(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Wandb 0.20 asks for it where a version that was looked up by an alias is to be deleted."""
    raise Refused("Nothing is linked on this server. To delete a version with wandb 0.20, look it up as NAME:vN.")
