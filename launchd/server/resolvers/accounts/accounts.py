"""Mutations of users, teams, members, service accounts and keys, under W&B's names where W&B has one."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.bootstrap import write_secret
from launchd.server.context import Info
from launchd.server.errors import NotFound, Refused
from launchd.server.models import ApiKey, EntityRecord, KeyRole, Role, User
from launchd.server.store.accounts import account_events, accounts, api_keys, roles

mutation = MutationType()
bindables = [mutation]

_LONGEST_TEXT = 256


@mutation.field("createUser")
async def create_user(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """W&B's clients send only an email address, from which the name is made."""
    email = _short(input["email"], "email address")
    roles.require_administrator(info.context.viewer)

    def work(connection: Connection) -> tuple[User, str]:
        given = input.get("username")
        name = accounts.unused_name(connection, email) if given is None else given
        made = accounts.create_user(connection, name, email, admin=bool(input.get("admin")))
        return made, api_keys.issue(connection, made, "first key", KeyRole.ADMIN)[1]

    made, key = await info.context.write(work)
    return {"user": made, "key": key}


@mutation.field("generateApiKey")
async def generate_key(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    description = _short(input.get("description") or "", "description")
    role = KeyRole[input.get("role") or KeyRole.MEMBER.name]

    def work(connection: Connection) -> tuple[ApiKey, str]:
        owner = roles.require_owner(connection, context.viewer, input.get("username"))
        made, key = api_keys.issue(connection, owner, description, role)
        account_events.note(connection, context.viewer, owner, f"Made API key {made.id}, of role {role.name.lower()}.")
        return made, key

    made, key = await context.write(work)
    return {"api_key": msgspec.structs.replace(made, name=key), "key": key}


@mutation.field("deleteApiKey")
async def delete_key(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> bool:
        found, owner = roles.require_key(connection, context.viewer, input["id"])
        account_events.note(connection, context.viewer, owner, f"Revoked API key {found.id} ({found.description}).")
        return api_keys.revoke(connection, found.id)

    success = await context.write(work)
    context.app.auth.clear_cache()
    return {"success": success}


@mutation.field("resetApiKeys")
async def reset_keys(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Revoke all keys of a user and make a new one, which only the user gets.

    It is shown to the administrator where a user (no service account) has never used a key: who created the user has
    seen the first one. Otherwise it is in a file beside the server's own key, for who operates the host to hand over.
    """
    context = info.context
    key = api_keys.new_key()

    def check(connection: Connection) -> tuple[User, bool]:
        owner = roles.require_reset(connection, context.viewer, input["username"])
        return owner, owner.is_service or api_keys.used_key(connection, owner)

    owner, is_known = await context.read(check)
    path = context.app.settings.data_dir / "reset-keys" / f"{owner.name}.key"
    if is_known:
        await asyncio.to_thread(_write_key, path, key)

    def work(connection: Connection) -> tuple[int, bool]:
        owner, is_known_now = check(connection)
        revoked = api_keys.revoke_all(connection, owner)
        role = KeyRole.MEMBER if owner.is_service else KeyRole.ADMIN
        api_keys.add(connection, owner, api_keys.digest_of(key), "reset", role)
        sentence = f"Reset the API keys: {revoked} were revoked, one was made."
        account_events.note(connection, context.viewer, owner, sentence)
        return revoked, is_known_now

    revoked, is_known_now = await context.write(work)
    context.app.auth.clear_cache()
    shown = None if is_known or is_known_now else key
    return {"revoked": revoked, "key": shown, "file": str(path) if is_known else None}


def _write_key(path: Path, key: str) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_secret(path, key)


@mutation.field("createTeam")
async def create_team(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    roles.require_administrator(context.viewer)

    def work(connection: Connection) -> EntityRecord:
        admin = accounts.require_user(connection, input.get("team_admin_user_name") or context.viewer.name)
        if admin.is_service:
            raise Refused(f"{admin.name!r} is a service account: the admin of a team must be a user.")
        return accounts.create_team(connection, input["team_name"], admin)

    return {"entity": await context.write(work)}


@mutation.field("createInvite")
async def add_member(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    """Add a member at once, without asking the user."""
    context = info.context
    name = input.get("username") or input.get("email") or ""
    role = Role[input.get("role") or ("ADMIN" if input.get("admin") else "MEMBER")]

    def work(connection: Connection) -> User:
        team = roles.require_team(connection, context.viewer, input["entity_name"])
        user = accounts.require_user(connection, name)
        accounts.set_member(connection, team, user, role)
        return user

    user = await context.write(work)
    context.app.auth.clear_cache()
    return {"invite": {"id": str(user.user_id), "name": user.name, "email": user.email, "to_user": user}}


@mutation.field("deleteInvite")
async def remove_member(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> bool:
        team = roles.require_team(connection, context.viewer, input.get("entity_name") or "")
        users = {str(member.user.user_id): member.user for member in accounts.members_of(connection, team)}
        leaving = users.get(input.get("id") or "")
        if leaving is None:
            raise NotFound(f"Team {team.name!r} has no member with this id.")
        return accounts.remove_member(connection, team, leaving)

    success = await context.write(work)
    context.app.auth.clear_cache()
    return {"success": success}


@mutation.field("createServiceAccount")
async def create_service_account(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    description = _short(input["description"], "description")

    def work(connection: Connection) -> User:
        team = roles.require_team(connection, context.viewer, input["entity_name"])
        name = input.get("username") or accounts.unused_name(connection, description)
        return accounts.create_service_account(connection, team, name)

    return {"user": await context.write(work)}


def _short(text: str, what: str) -> str:
    if len(text) > _LONGEST_TEXT or not text.isprintable():
        raise Refused(f"The {what} must be at most {_LONGEST_TEXT} printable characters.")
    return text
