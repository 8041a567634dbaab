"""Mutations that delete users, service accounts and teams."""

import logging
from collections.abc import Callable
from typing import Any

from ariadne import MutationType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import NotFound
from launchd.server.store.accounts import accounts, deletions, roles
from launchd.server.store.accounts.deletions import Deleted

logger = logging.getLogger(__name__)

mutation = MutationType()
bindables = [mutation]


@mutation.field("deleteUser")
async def delete_user(_: object, info: Info, input: dict[str, Any]) -> Deleted:
    context = info.context
    roles.require_administrator(context.viewer)

    def work(connection: Connection, timeout: float) -> Deleted:
        user = accounts.require_user(connection, input["username"])
        return deletions.delete_user(connection, context.viewer, user, timeout)

    return await _delete(context, work, "A user was deleted.", input["username"])


@mutation.field("deleteTeam")
async def delete_team(_: object, info: Info, input: dict[str, Any]) -> Deleted:
    context = info.context

    def work(connection: Connection, timeout: float) -> Deleted:
        team = roles.require_team(connection, context.viewer, input["team_name"])
        return deletions.delete_team(connection, context.viewer, team, timeout)

    return await _delete(context, work, "A team was deleted.", input["team_name"])


@mutation.field("deleteServiceAccount")
async def delete_service_account(_: object, info: Info, input: dict[str, Any]) -> Deleted:
    context = info.context

    def work(connection: Connection, timeout: float) -> Deleted:
        team = roles.require_team(connection, context.viewer, input["entity_name"])
        found = accounts.find_user(connection, input["username"])
        if found is None or not found.is_service or found.entity != team.name:
            raise NotFound(f"Team {team.name!r} has no service account {input['username'][:80]!r}.")
        return deletions.delete_service_account(connection, context.viewer, found, timeout)

    return await _delete(context, work, "A service account was deleted.", input["username"])


async def _delete(context: Context, work: Callable[[Connection, float], Deleted], sentence: str, name: str) -> Deleted:
    """Have ``work`` delete an account; it is told after how much silence, in seconds, an agent is lost."""
    timeout = context.app.settings.agent_timeout_seconds
    gone = await context.write(lambda connection: work(connection, timeout))
    context.app.auth.clear_cache()
    context.app.garbage_collector.collect_soon()
    logger.info(sentence, extra={"account": name, "by": context.viewer.name, "keys": gone.keys})
    return gone
