"""Viewer, server info, entities."""

from typing import Any

from ariadne import ObjectType, QueryType

from launchd.server.context import Info
from launchd.server.store import identities, queues
from launchd.server.store.records import EntityRecord, ResourceConfig, Viewer

query = QueryType()
user = ObjectType("User")
entity = ObjectType("Entity")
resource_config = ObjectType("DefaultResourceConfig")
bindables = [query, user, entity, resource_config]


@query.field("viewer")
def resolve_viewer(_: object, info: Info) -> Viewer:
    return info.context.viewer


@query.field("serverInfo")
def resolve_server_info(_: object, info: Info) -> dict[str, Any]:
    """No features: an empty list works with every client."""
    return {"features": [], "cli_version_info": {}, "latest_local_version_info": None}


@query.field("entity")
async def resolve_entity(_: object, info: Info, name: str | None = None) -> EntityRecord | None:
    context = info.context
    return await context.read(identities.find_entity, context.viewer, name)


@user.field("id")
def resolve_user_id(viewer: Viewer, info: Info) -> str:
    return str(viewer.user_id)


@user.field("username")
def resolve_username(viewer: Viewer, info: Info) -> str:
    return viewer.name


@user.field("flags")
def resolve_flags(viewer: Viewer, info: Info) -> str:
    """Wandb 0.20 fails on null."""
    return "{}"


@user.field("teams")
async def resolve_teams(viewer: Viewer, info: Info) -> dict[str, Any]:
    teams = await info.context.read(identities.teams_of, viewer)
    return {"edges": [{"node": team} for team in teams]}


@user.field("apiKeys")
async def resolve_api_keys(viewer: Viewer, info: Info) -> dict[str, Any]:
    found = await info.context.read(identities.keys_of, viewer)
    nodes = [{"id": key_id, "name": None, "description": description} for key_id, description in found]
    return {"edges": [{"node": node} for node in nodes]}


@entity.field("defaultResourceConfig")
async def resolve_resource_config(found: EntityRecord, info: Info, id: str) -> ResourceConfig | None:
    if not id.isdecimal():
        return None
    return await info.context.read(queues.find_config, found.id, int(id))


@resource_config.field("templateVariables")
def resolve_template_variables(config: ResourceConfig, info: Info) -> list[dict[str, Any]]:
    return [
        {"name": name, "schema": declared.get("schema", {})} for name, declared in config.template_variables.items()
    ]
