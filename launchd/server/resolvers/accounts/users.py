"""The viewer, other users, server info, entities."""

from typing import Any

from ariadne import ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.models import (
    AccountEvent,
    ApiKey,
    EntityRecord,
    KeyRole,
    Member,
    ResourceConfig,
    Role,
    Scope,
    User,
    Viewer,
)
from launchd.server.store.accounts import account_events, accounts, api_keys, principals, roles
from launchd.server.store.ids import row_number
from launchd.server.store.launch import queues

query = QueryType()
user = ObjectType("User")
api_key = ObjectType("ApiKey")
entity = ObjectType("Entity")
member = ObjectType("Member")
resource_config = ObjectType("DefaultResourceConfig")
bindables = [query, user, api_key, entity, member, resource_config]

_USER_CONSTANTS: dict[str, Any] = {"flags": "{}", "photoUrl": None, "organizations": []}
"""Wandb 0.20 fails where flags are null."""
_CLIENT_VERSIONS = {"min_cli_version": "0.19.11", "max_cli_version": "0.99.0"}
"""The highest version stands for all later ones: wandb 0.20 derives from it what the server can do."""
_ENTITY_CONSTANTS: dict[str, Any] = {
    "available": True,
    "readOnlyAdmin": False,
    "privateOnly": True,
    "codeSavingEnabled": True,
    "defaultAccess": "PRIVATE",
    "isPaid": False,
    "xxhashDigestsEnabled": False,
}


def _constant(value: Any) -> Any:
    return lambda found, info: value


for _name, _value in _USER_CONSTANTS.items():
    user.set_field(_name, _constant(_value))
for _name, _value in _ENTITY_CONSTANTS.items():
    entity.set_field(_name, _constant(_value))


@query.field("viewer")
def resolve_viewer(_: object, info: Info) -> Viewer:
    return info.context.viewer


@query.field("users")
async def resolve_users(_: object, info: Info, query: str | None = None) -> dict[str, Any]:
    found = await info.context.read(accounts.find_users, info.context.viewer, query)
    return {"edges": [{"node": each} for each in found]}


@query.field("serverInfo")
def resolve_server_info(_: object, info: Info) -> dict[str, Any]:
    """No features: an empty list works with every client."""
    return {"features": [], "cli_version_info": _CLIENT_VERSIONS, "latest_local_version_info": None}


@query.field("entity")
async def resolve_entity(_: object, info: Info, name: str | None = None) -> EntityRecord | None:
    context = info.context
    return await context.read(principals.find_entity, context.viewer, name)


@user.field("id")
def resolve_user_id(found: User, info: Info) -> str:
    return str(found.user_id)


@user.field("username")
def resolve_username(found: User, info: Info) -> str:
    return found.name


@user.field("isServiceAccount")
def resolve_is_service(found: User, info: Info) -> bool:
    return found.is_service


@user.field("keyRole")
def resolve_role_of_this_key(found: User, info: Info) -> str | None:
    viewer = info.context.viewer
    if found.user_id != viewer.user_id or viewer.scope is Scope.JOB:
        return None
    return KeyRole.AGENT.name if viewer.scope is Scope.AGENT else viewer.key_role.name


@user.field("teams")
async def resolve_teams(found: User, info: Info) -> dict[str, Any]:
    """The user's teams; of other users only the teams that the viewer shares with them."""
    context = info.context

    def work(connection: Connection) -> list[EntityRecord]:
        mine = principals.entities_of(connection, context.viewer.user_id)
        theirs = principals.entities_of(connection, found.user_id)
        return [team for team in theirs if team in mine]

    return {"edges": [{"node": team} for team in await context.read(work)]}


@user.field("apiKeys")
async def resolve_api_keys(found: User, info: Info) -> dict[str, Any]:
    """The viewer's keys, not shown to agents and jobs; those of others only if the viewer may manage them."""
    context = info.context

    def work(connection: Connection) -> list[ApiKey]:
        if not _may_see_keys(connection, context.viewer, found):
            return []
        return api_keys.keys_of(connection, found.user_id)

    return {"edges": [{"node": key} for key in await context.read(work)]}


@user.field("accountEvents")
async def resolve_events(found: User, info: Info) -> list[AccountEvent]:
    """As the keys."""
    context = info.context

    def work(connection: Connection) -> list[AccountEvent]:
        if not _may_see_keys(connection, context.viewer, found):
            return []
        return account_events.events_of(connection, found.user_id)

    return await context.read(work)


def _may_see_keys(connection: Connection, viewer: Viewer, owner: User) -> bool:
    own = owner.user_id == viewer.user_id and viewer.scope is Scope.ALL
    return own or roles.may_manage_keys(connection, viewer, owner)


@api_key.field("name")
def resolve_key_name(key: ApiKey, info: Info) -> str:
    """Wandb 0.31 fails on null. Wandb 0.20 takes this value for a key to create another with, which fails."""
    return key.name or ""


@api_key.field("role")
def resolve_key_role(key: ApiKey, info: Info) -> str:
    return KeyRole(key.role).name


@entity.field("entityType")
def resolve_entity_type(found: EntityRecord, info: Info) -> str:
    return "TEAM" if found.is_team else "USER"


@entity.field("user")
async def resolve_entity_user(found: EntityRecord, info: Info) -> User | None:
    return None if found.is_team else await info.context.read(accounts.find_user, found.name)


@entity.field("readOnly")
async def resolve_read_only(found: EntityRecord, info: Info) -> bool:
    viewer = info.context.viewer
    writable = await info.context.read(principals.find_entity, viewer.writing(), found.name)
    return writable is None or viewer.key_role < Role.MEMBER


@entity.field("storageBytes")
async def resolve_storage(found: EntityRecord, info: Info) -> int:
    return await info.context.read(accounts.stored_bytes, found)


@entity.field("members")
async def resolve_members(found: EntityRecord, info: Info) -> list[Member]:
    return await info.context.read(accounts.members_of, found)


@member.field("id")
def resolve_member_id(found: Member, info: Info) -> str:
    return str(found.user.user_id)


for _field in ("name", "email"):
    member.set_field(_field, lambda found, info, field=_field: getattr(found.user, field))


@member.field("username")
def resolve_member_name(found: Member, info: Info) -> str:
    return found.user.name


@member.field("role")
def resolve_member_role(found: Member, info: Info) -> str:
    return Role(found.role).name


@member.field("admin")
def resolve_member_is_admin(found: Member, info: Info) -> bool:
    return found.role == Role.ADMIN


@member.field("pending")
def resolve_pending(found: Member, info: Info) -> bool:
    return False


@member.field("accountType")
def resolve_account_type(found: Member, info: Info) -> str:
    return "SERVICE" if found.user.is_service else "MEMBER"


@entity.field("defaultResourceConfig")
async def resolve_resource_config(found: EntityRecord, info: Info, id: str) -> ResourceConfig | None:
    return await info.context.read(queues.find_config, found.id, row_number(id))


@resource_config.field("templateVariables")
def resolve_template_variables(config: ResourceConfig, info: Info) -> list[dict[str, Any]]:
    return [
        {"name": name, "schema": declared.get("schema", {})} for name, declared in config.template_variables.items()
    ]
