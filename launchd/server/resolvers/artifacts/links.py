"""Changing memberships of versions: links to portfolios, and aliases in collections of either kind."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import NotFound, Refused
from launchd.server.models import Artifact, ArtifactMembership, Collection, Viewer
from launchd.server.store.accounts import principals
from launchd.server.store.artifacts import aliases as artifact_aliases
from launchd.server.store.artifacts import artifacts, collections
from launchd.server.store.artifacts import links as artifact_links

mutation = MutationType()
bindables = [mutation]


@mutation.field("linkArtifact")
async def link(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """The caller needs only read access to the version; what changes is the portfolio. A job links as its submitter."""
    viewer = info.context.viewer
    aliases = [each["alias"] for each in input.get("aliases") or ()]

    def work(connection: Connection) -> ArtifactMembership:
        found = _wanted(connection, viewer.looking(), input)
        portfolio = _portfolio(connection, viewer.as_submitter(), found, input)
        return artifact_links.link(connection, portfolio, found, aliases)

    made = await info.context.write(work)
    return {"version_index": made.version_index, "artifact_membership": made}


def _wanted(connection: Connection, viewer: Viewer, input: dict[str, Any]) -> Artifact:
    if input.get("artifact_id"):
        return artifacts.require_artifact(connection, viewer, input["artifact_id"])
    found = artifacts.by_client_id(connection, viewer, input.get("client_id") or "")
    if found is None:
        raise NotFound("There is no such artifact that you may use: say which one is to be linked.")
    return found


def _portfolio(connection: Connection, viewer: Viewer, found: Artifact, input: dict[str, Any]) -> Collection:
    type_name = found.collection.type
    if input.get("artifact_portfolio_id"):
        known = collections.require_kind(connection, viewer, input["artifact_portfolio_id"], is_portfolio=True)
        collections.check_type(known, type_name)
        return known
    entity = principals.require_entity(connection, viewer, input.get("entity_name"))
    project_name = input.get("project_name") or principals.UNCATEGORIZED
    name = input.get("artifact_portfolio_name") or ""
    return artifact_links.ensure_portfolio(connection, entity, project_name, type_name, name)


@mutation.field("unlinkArtifact")
async def unlink(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    viewer = info.context.viewer

    def work(connection: Connection) -> None:
        found = artifacts.require_artifact(connection, viewer.looking(), input["artifact_id"])
        collection = collections.require_collection(connection, viewer, input["artifact_portfolio_id"])
        if not collection.is_portfolio:
            # wandb 0.20 takes every version that was found by an alias for a link.
            raise Refused(
                f"Artifact {found.title!r} was logged to {collection.name!r}, not linked to it. To delete a version "
                "with wandb 0.20, look it up as NAME:vN."
            )
        artifact_links.unlink(connection, collection, found)

    await info.context.write(work)
    return {"artifact_id": input["artifact_id"], "success": True}


@mutation.field("addAliases")
async def add_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def work(connection: Connection) -> None:
        for member, aliases in _aliased(connection, info.context.viewer, input):
            if member.artifact.state != artifacts.COMMITTED:
                title, state = member.artifact.title, member.artifact.state
                raise Refused(f"Artifact {title!r} is {state}, so no alias can stand for it.")
            artifact_aliases.move(connection, member, aliases)

    await info.context.write(work)
    return {"success": True}


@mutation.field("deleteAliases")
async def delete_aliases(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    def work(connection: Connection) -> None:
        for member, aliases in _aliased(connection, info.context.viewer, input):
            artifact_aliases.remove(connection, member, aliases)

    await info.context.write(work)
    return {"success": True}


def _aliased(
    connection: Connection, viewer: Viewer, input: dict[str, Any]
) -> Iterator[tuple[ArtifactMembership, Sequence[str]]]:
    """The version's membership in each named collection, with the aliases that are meant there."""
    found = artifacts.require_artifact(connection, viewer.looking(), input["artifact_id"])
    by_collection: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for each in input["aliases"]:
        names = (each["entity_name"], each["project_name"], each["artifact_collection_name"])
        by_collection[names].append(each["alias"])
    for names, aliases in by_collection.items():
        collection = collections.require_by_names(connection, viewer, *names)
        yield _member(connection, collection, found), list(dict.fromkeys(aliases))


def _member(connection: Connection, collection: Collection, found: Artifact) -> ArtifactMembership:
    if collection.id == found.collection.id:
        return found.membership
    member = artifact_links.find(connection, collection, found)
    if member is None:
        other = collection.name
        raise Refused(f"Artifact {found.title!r} is no version of {other!r}, so no alias there can stand for it.")
    return member
